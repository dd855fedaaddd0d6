#!/bin/bash
# Works with git in a mounted directory: a bare repository, a clone of it, commits, a push, gc and fsck.
# usage: git.sh DIRECTORY SOURCE (a repository, or any tree to make one from)
set -eu
trap 'echo "$0: line $LINENO" >&2' ERR
directory=$1 source=$2
export GIT_CONFIG_GLOBAL=/mnt/gitconfig GIT_PAGER=cat
git config --global safe.directory '*'
git config --global user.name tester
git config --global user.email tester@example.org
git config --global advice.detachedHead false
mkdir "$directory/git" /mnt/git-source
# A repository with some history of its own, so that the test does not depend on how the project was cloned.
cd /mnt/git-source
git init -q -b main .
count=0
for part in "$source"/*; do
  cp -r "$part" .
  git add -A
  git commit -q --allow-empty -m "part $((count += 1))"
done
git clone -q --bare /mnt/git-source "$directory/git/bare.git"
git -C "$directory/git/bare.git" fsck --full --strict
git clone -q "$directory/git/bare.git" "$directory/git/work"
cd "$directory/git/work"
git fsck --full --strict
for round in 1 2 3; do
  git checkout -q -b "branch-$round"
  echo "round $round" >> "$(git ls-files | head -n 1)"
  echo "new $round" > "new-$round"
  git add -A
  git commit -q -m "round $round"
  git push -q origin "branch-$round"
done
test -z "$(git status --porcelain)"
git gc -q
git -C ../bare.git gc -q
git fsck --full --strict
git -C ../bare.git fsck --full --strict
test "$(git -C ../bare.git rev-parse branch-3)" = "$(git rev-parse HEAD)"
echo "$(git rev-list --all | wc -l) commits, $(git ls-files | wc -l) files"
cd /
rm -rf "$directory/git" /mnt/git-source
