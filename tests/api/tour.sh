#!/bin/bash
# Every served action through the AWS CLI, unmodified, as a user would type it. The profile comes from
# AWS_SHARED_CREDENTIALS_FILE and AWS_CONFIG_FILE as `coffer init` wrote them; the endpoint is in it, too.
set -euo pipefail
checks=0
endpoint=(--endpoint-url "$COFFER_ENDPOINT" --output text)
run() { aws "$@" "${endpoint[@]}"; }

# same FOUND WANTED WHAT
same() {
  checks=$((checks + 1))
  [ "$1" = "$2" ] || { echo "$3: '$1', '$2' was wanted" >&2; exit 1; }
}

# refused CODE COMMAND...
refused() {
  local code=$1 said
  shift
  checks=$((checks + 1))
  if said=$(run "$@" 2>&1); then echo "aws $* was not refused: $said" >&2; exit 1; fi
  case $said in *"($code)"*) ;; *) echo "aws $*: $code was wanted: $said" >&2; exit 1 ;; esac
}

# until WANTED COMMAND...: asks again for at most 60 s
until_is() {
  local wanted=$1 found=
  shift
  checks=$((checks + 1))
  for ((tries = 0; tries < 60; tries++)); do
    found=$(run "$@" 2>&1) || true
    [ "$found" != "$wanted" ] || return 0
    sleep 1
  done
  echo "aws $*: '$found' after 60 s, '$wanted' was wanted" >&2
  exit 1
}

same "$(run sts get-caller-identity --query Account)" 000000000001 get-caller-identity

key=$(run kms create-key --description 'the CLI tour' --query KeyMetadata.KeyId)
arn=$(run kms describe-key --key-id "$key" --query KeyMetadata.Arn)
run kms create-alias --alias-name alias/cli --target-key-id "$key"
same "$(run kms describe-key --key-id alias/cli --query KeyMetadata.KeyId)" "$key" 'describe-key by alias'
same "$(run kms list-aliases --query "Aliases[?AliasName=='alias/cli'].TargetKeyId")" "$key" list-aliases
same "$(run kms list-keys --query "Keys[?KeyId=='$key'].KeyArn")" "$arn" list-keys
same "$(run kms get-key-rotation-status --key-id "$key" --query KeyRotationEnabled)" False get-key-rotation-status
run kms get-key-policy --key-id "$key" --policy-name default --query Policy > policy
same "$(grep -c 'kms:\*' policy)" 1 get-key-policy
run kms put-key-policy --key-id "$key" --policy-name default --policy file://policy
sed 's/kms:\*/kms:Describe*/' policy > locked
refused MalformedPolicyDocumentException kms put-key-policy --key-id "$key" --policy-name default --policy file://locked
same "$(run kms list-key-policies --key-id "$key" --query PolicyNames)" default list-key-policies
managed=$(run kms describe-key --key-id alias/aws/elasticfilesystem --query KeyMetadata.KeyId)
refused AccessDeniedException kms put-key-policy --key-id "$managed" --policy-name default --policy file://policy
run kms enable-key-rotation --key-id "$key" --rotation-period-in-days 180
same "$(run kms get-key-rotation-status --key-id "$key" --query '[KeyRotationEnabled,RotationPeriodInDays]')" 'True	180' enable-key-rotation
refused ValidationException kms enable-key-rotation --key-id "$key" --rotation-period-in-days 2561
same "$(run kms rotate-key-on-demand --key-id "$key" --query KeyId)" "$arn" rotate-key-on-demand
same "$(run kms list-key-rotations --key-id "$key" --query 'Rotations[].RotationType')" ON_DEMAND list-key-rotations
run kms disable-key-rotation --key-id "$key"
same "$(run kms get-key-rotation-status --key-id "$key" --query KeyRotationEnabled)" False disable-key-rotation
same "$(run kms list-resource-tags --key-id "$key" --query 'length(Tags)')" 0 list-resource-tags
printf 'a secret of the CLI' > plain
run kms encrypt --key-id alias/cli --plaintext fileb://plain --encryption-context a=b --query CiphertextBlob | base64 -d > sealed
run kms decrypt --ciphertext-blob fileb://sealed --encryption-context a=b --query Plaintext | base64 -d > opened
same "$(cat opened)" 'a secret of the CLI' decrypt
refused InvalidCiphertextException kms decrypt --ciphertext-blob fileb://sealed --encryption-context a=c
same "$(run kms generate-data-key --key-id "$key" --key-spec AES_256 --query Plaintext | base64 -d | wc -c)" 32 generate-data-key
run kms generate-data-key-without-plaintext --key-id "$key" --key-spec AES_256 --query CiphertextBlob | base64 -d > wrapped
same "$(run kms decrypt --ciphertext-blob fileb://wrapped --query Plaintext | base64 -d | wc -c)" 32 'the wrapped data key'
grant=$(run kms create-grant --key-id "$key" --grantee-principal arn:aws:iam::000000000001:root --operations Decrypt --query GrantId)
same "$(run kms list-grants --key-id "$key" --query 'Grants[].GrantId')" "$grant" list-grants
run kms revoke-grant --key-id "$key" --grant-id "$grant"
run kms disable-key --key-id "$key"
refused DisabledException kms encrypt --key-id "$key" --plaintext fileb://plain
run kms enable-key --key-id "$key"
refused NotFoundException kms describe-key --key-id alias/nobody
signer=$(run kms create-key --key-spec ECC_NIST_P256 --key-usage SIGN_VERIFY --query KeyMetadata.KeyId)
run kms get-public-key --key-id "$signer" --query PublicKey | base64 -d > signer.spki
sign=(--key-id "$signer" --message fileb://plain --signing-algorithm ECDSA_SHA_256)
run kms sign "${sign[@]}" --query Signature | base64 -d > signature
same "$(openssl dgst -sha256 -verify signer.spki -keyform DER -signature signature plain)" 'Verified OK' 'sign, as OpenSSL sees it'
same "$(run kms verify "${sign[@]}" --signature fileb://signature --query SignatureValid)" True verify
refused KMSInvalidSignatureException kms verify "${sign[@]}" --signature fileb://signer.spki
refused InvalidKeyUsageException kms encrypt --key-id "$signer" --plaintext fileb://plain
macs=$(run kms create-key --key-spec HMAC_256 --key-usage GENERATE_VERIFY_MAC --query KeyMetadata.KeyId)
mac=(--key-id "$macs" --message fileb://plain --mac-algorithm HMAC_SHA_256)
run kms generate-mac "${mac[@]}" --query Mac | base64 -d > mac
same "$(run kms verify-mac "${mac[@]}" --mac fileb://mac --query MacValid)" True verify-mac
refused KMSInvalidMacException kms verify-mac "${mac[@]}" --mac fileb://plain
rsa=$(run kms create-key --key-spec RSA_2048 --key-usage ENCRYPT_DECRYPT --query KeyMetadata.KeyId)
oaep=(--key-id "$rsa" --encryption-algorithm RSAES_OAEP_SHA_256)
run kms encrypt "${oaep[@]}" --plaintext fileb://plain --query CiphertextBlob | base64 -d > sealed-rsa
run kms decrypt "${oaep[@]}" --ciphertext-blob fileb://sealed-rsa --query Plaintext | base64 -d > opened-rsa
same "$(cat opened-rsa)" 'a secret of the CLI' 'decrypt with RSA'
external=$(run kms create-key --origin EXTERNAL --query KeyMetadata.KeyId)
run kms get-parameters-for-import --key-id "$external" --wrapping-algorithm RSAES_OAEP_SHA_256 --wrapping-key-spec RSA_3072 \
  --query '[PublicKey,ImportToken]' > parameters
cut -f1 parameters | base64 -d > wrapping.spki
cut -f2 parameters | base64 -d > token
head -c 32 /dev/urandom > material
openssl pkeyutl -encrypt -pubin -keyform DER -inkey wrapping.spki -in material -out wrapped-material \
  -pkeyopt rsa_padding_mode:oaep -pkeyopt rsa_oaep_md:sha256 -pkeyopt rsa_mgf1_md:sha256
import=(--key-id "$external" --import-token fileb://token --encrypted-key-material fileb://wrapped-material)
refused ValidationException kms import-key-material "${import[@]}"
import+=(--expiration-model KEY_MATERIAL_DOES_NOT_EXPIRE --query KeyMaterialId)
material=$(run kms import-key-material "${import[@]}")
run kms encrypt --key-id "$external" --plaintext fileb://plain --query CiphertextBlob | base64 -d > sealed-import
same "$(run kms delete-imported-key-material --key-id "$external" --query KeyMaterialId)" "$material" delete-imported-key-material
refused KMSInvalidStateException kms decrypt --ciphertext-blob fileb://sealed-import
same "$(run kms import-key-material "${import[@]}")" "$material" 'the same material again'
run kms decrypt --ciphertext-blob fileb://sealed-import --query Plaintext | base64 -d > opened-import
same "$(cat opened-import)" 'a secret of the CLI' 'decrypt with imported material'
agrees=$(run kms create-key --key-spec ECC_NIST_P256 --key-usage KEY_AGREEMENT --query KeyMetadata.KeyId)
agree=(--key-id "$agrees" --key-agreement-algorithm ECDH --public-key fileb://signer.spki)
same "$(run kms derive-shared-secret "${agree[@]}" --query SharedSecret | base64 -d | wc -c)" 32 derive-shared-secret
pair=(--key-id "$key" --key-pair-spec ECC_NIST_P384)
run kms generate-data-key-pair "${pair[@]}" --query PrivateKeyPlaintext | base64 -d | openssl pkey -inform DER -noout
run kms generate-data-key-pair-without-plaintext "${pair[@]}" --query PublicKey | base64 -d | openssl pkey -pubin -inform DER -noout

one=$(run efs create-file-system --creation-token cli --encrypted --kms-key-id alias/cli --tags Key=Name,Value=cli --query FileSystemId)
until_is available efs describe-file-systems --file-system-id "$one" --query 'FileSystems[0].LifeCycleState'
same "$(run efs describe-file-systems --file-system-id "$one" --query 'FileSystems[0].[Encrypted,KmsKeyId,Name]')" "True	$arn	cli" describe-file-systems
refused FileSystemAlreadyExists efs create-file-system --creation-token cli
refused FileSystemNotFound efs describe-file-systems --file-system-id fs-00000000000000000
target=$(run efs create-mount-target --file-system-id "$one" --subnet-id subnet-00000000 --query MountTargetId)
until_is available efs describe-mount-targets --mount-target-id "$target" --query 'MountTargets[0].LifeCycleState'
run efs describe-mount-target-security-groups --mount-target-id "$target" > /dev/null
refused FileSystemInUse efs delete-file-system --file-system-id "$one"
point=$(run efs create-access-point --file-system-id "$one" --posix-user Uid=1001,Gid=1001 \
  --root-directory 'Path=/ann,CreationInfo={OwnerUid=1001,OwnerGid=1001,Permissions=0755}' --query AccessPointId)
until_is available efs describe-access-points --access-point-id "$point" --query 'AccessPoints[0].LifeCycleState'
run efs tag-resource --resource-id "$one" --tags Key=team,Value=blue
same "$(run efs list-tags-for-resource --resource-id "$one" --query "Tags[?Key=='team'].Value")" blue list-tags-for-resource
run efs untag-resource --resource-id "$one" --tag-keys team
same "$(run efs describe-lifecycle-configuration --file-system-id "$one" --query 'length(LifecyclePolicies)')" 0 describe-lifecycle-configuration
run efs describe-backup-policy --file-system-id "$one" > backup 2>&1 || grep -q PolicyNotFound backup
refused PolicyNotFound efs describe-file-system-policy --file-system-id "$one"
run efs delete-access-point --access-point-id "$point"
run efs delete-mount-target --mount-target-id "$target"
until_is 0 efs describe-file-systems --file-system-id "$one" --query 'FileSystems[0].NumberOfMountTargets'
run efs delete-file-system --file-system-id "$one"
until_is 0 efs describe-file-systems --query 'length(FileSystems)'
run kms delete-alias --alias-name alias/cli
run kms schedule-key-deletion --key-id "$key" --pending-window-in-days 7 > /dev/null
same "$(run kms describe-key --key-id "$key" --query KeyMetadata.KeyState)" PendingDeletion schedule-key-deletion
run kms cancel-key-deletion --key-id "$key" > /dev/null
same "$(run kms describe-key --key-id "$key" --query KeyMetadata.KeyState)" Disabled cancel-key-deletion
echo "$checks checks"
