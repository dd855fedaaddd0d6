//! Many callers at once, on several threads.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]

use std::sync::Arc;

use crate::rig::Rig;
use filesystem::{FsError, NewObject, Stability};

/// Architecture section 3, "Operations and the committer": operations on the same objects from all sides neither deadlock
/// nor leave two records that disagree.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn operations_from_all_sides_agree() {
    let rig = Arc::new(Rig::new().await);
    rig.fs.collect_orphans();
    let root = rig.root().await;
    let mut directories = vec![root.clone()];
    for name in ["x", "y", "z"] {
        directories.push(rig.mkdir(&root, name).await.unwrap());
    }
    let tasks: Vec<_> = (0..8_u64)
        .map(|task| {
            let (rig, directories) = (rig.clone(), directories.clone());
            tokio::spawn(async move {
                let mut random = task * 7 + 1;
                let mut below = move |below: usize| {
                    random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(99);
                    usize::try_from(random >> 33).unwrap() % below
                };
                for _ in 0..150 {
                    let from = &directories[below(4)];
                    let to = &directories[below(4)];
                    let (old, new) = (["a", "b", "c"][below(3)], ["a", "b", "c"][below(3)]);
                    let outcome = match below(7) {
                        0 => rig.file(from, old).await.map(drop),
                        1 => rig.make(from, old, NewObject::Directory).await.map(drop),
                        2 => rig.remove(from, old).await,
                        3 => rig.rename(from, old, to, new).await,
                        4 => rig.names(from, 2).await.map(drop),
                        5 => match rig.lookup(from, old).await {
                            Ok(node) => rig.link(&node, to, new).await,
                            Err(error) => Err(error),
                        },
                        _ => match rig.lookup(from, old).await {
                            Ok(node) => {
                                let offset = below(100_000) as u64;
                                let stability = if below(2) == 0 { Stability::FileSync } else { Stability::Unstable };
                                match rig.write(&node, offset, &[1; 5000], stability).await {
                                    Ok(()) => rig.truncate(&node, below(90_000) as u64).await,
                                    error => error,
                                }
                            }
                            Err(error) => Err(error),
                        },
                    };
                    let bad = matches!(outcome, Err(FsError::Io(_) | FsError::Failed | FsError::Delay));
                    assert!(!bad, "{outcome:?}");
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    rig.fs.close().await.unwrap();
    let report = rig.report().await;
    assert!(report.is_clean(), "{:#?}", report.problems);
}

/// RFC 8881 section 18.16 (GUARDED4) and 18.26: of many who make one name, one wins; renames over it lose no object.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn one_of_many_creators_wins() {
    let rig = Arc::new(Rig::new().await);
    let root = rig.root().await;
    for round in 0..20 {
        let name = format!("n{round}");
        let tasks: Vec<_> = (0..8)
            .map(|_| {
                let (rig, root, name) = (rig.clone(), root.clone(), name.clone());
                tokio::spawn(async move { rig.file(&root, &name).await })
            })
            .collect();
        let mut won = 0;
        for task in tasks {
            match task.await.unwrap() {
                Ok(_) => won += 1,
                Err(error) => assert_eq!(error, FsError::Exists),
            }
        }
        assert_eq!(won, 1);
    }
    assert_eq!(rig.names(&root, 100).await.unwrap().len(), 20);
}
