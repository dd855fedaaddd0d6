//! File systems: creation, tokens, keys, life cycles that survive a crash, deletion, lists and tags.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests may panic")]

mod support;

use std::sync::atomic::Ordering;
use std::time::Duration;

use aws_wire::ApiError;
use control::{model, ops};
use model::LifeCycleState;
use support::{SERVICE_KEY, World, code, create, delete, describe, request, root, settle};

/// EFS API, CreateFileSystem: it answers `creating`, and the file system is `available` when the file service made it.
#[tokio::test]
async fn creation_passes_through_creating() {
    let world = World::new(1);
    let control = world.open().await;
    let made = ops::create_file_system::run(&control, &root(), request("token")).await.unwrap();
    assert_eq!(made.life_cycle_state, LifeCycleState::Creating);
    assert_eq!((made.encrypted, made.kms_key_id.as_deref(), made.number_of_mount_targets), (Some(false), None, 0));
    assert_eq!((made.size_in_bytes.value, made.performance_mode), (6144, model::PerformanceMode::GeneralPurpose));
    assert_eq!(made.throughput_mode, Some(model::ThroughputMode::Bursting));
    let arn = format!("arn:aws:elasticfilesystem:us-east-1:000000000001:file-system/{}", made.file_system_id);
    assert_eq!(made.file_system_arn.as_deref(), Some(arn.as_str()));
    settle().await;
    for spelling in [made.file_system_id.as_str(), arn.as_str()] {
        let found = describe(&control, spelling).await.unwrap();
        assert_eq!((found.life_cycle_state, found.size_in_bytes.value), (LifeCycleState::Available, 10_240));
    }
    // Not encrypted in the API's sense: both keys come from the service's key all the same.
    assert_eq!(world.outside.count("grant service"), 2);
    assert_eq!(world.outside.count("make"), 2);
}

/// EFS API, KmsKeyId: whatever spelling was given, the key's ARN is answered; without one it is the service's key's.
#[tokio::test]
async fn the_key_is_answered_by_its_arn() {
    let world = World::new(2);
    let control = world.open().await;
    let encrypted = |token: &str, key: Option<&str>| model::CreateFileSystemRequest {
        encrypted: Some(true),
        kms_key_id: key.map(str::to_owned),
        ..request(token)
    };
    let made = ops::create_file_system::run(&control, &root(), encrypted("a", Some("alias/mine"))).await.unwrap();
    let arn = "arn:aws:kms:us-east-1:000000000001:key/of-alias/mine";
    assert_eq!((made.encrypted, made.kms_key_id.as_deref()), (Some(true), Some(arn)));
    let made = ops::create_file_system::run(&control, &root(), encrypted("b", None)).await.unwrap();
    assert_eq!(made.kms_key_id.as_deref(), Some(SERVICE_KEY));
    let without = model::CreateFileSystemRequest { encrypted: None, ..encrypted("c", Some("alias/mine")) };
    assert_eq!(code(ops::create_file_system::run(&control, &root(), without).await), "BadRequest");
}

/// EFS API, CreationToken: a repeat is FileSystemAlreadyExists with the id of the first; the token is free again when
/// the file system is gone.
#[tokio::test]
async fn a_token_makes_one_file_system() {
    let world = World::new(3);
    let control = world.open().await;
    let id = create(&control, "token").await;
    let other = model::CreateFileSystemRequest { encrypted: Some(true), ..request("token") };
    for (control, again) in [(&control, request("token")), (&world.open().await, other)] {
        let error = ApiError::from(ops::create_file_system::run(control, &root(), again).await.unwrap_err());
        assert_eq!((error.code, error.status), ("FileSystemAlreadyExists", 409));
        assert_eq!(error.members, vec![("FileSystemId", id.clone())]);
    }
    let control = world.open().await;
    delete(&control, &id).await.unwrap();
    settle().await;
    assert_ne!(create(&control, "token").await, id);
}

/// EFS API, CreateFileSystem with a key that cannot be used: refused at once, with KMS's reason, and nothing is left.
#[tokio::test]
async fn a_refused_key_leaves_nothing_behind() {
    for refusal in ["grant chosen", "grant service", "make"] {
        let world = World::new(4);
        let control = world.open().await;
        world.outside.fail(refusal);
        let input =
            model::CreateFileSystemRequest { encrypted: Some(true), kms_key_id: Some("k".to_owned()), ..request("t") };
        let error = ApiError::from(ops::create_file_system::run(&control, &root(), input).await.unwrap_err());
        assert_eq!((error.code, error.status), ("BadRequest", 400));
        assert!(error.message.contains("arn:key is disabled."), "{}", error.message);
        assert_eq!(world.outside.count("destroy keys"), 1, "{refusal}");
        assert!(control.file_systems().is_empty());
        world.outside.heal();
        assert!(world.open().await.file_systems().is_empty());
        create(&world.open().await, "t").await;
    }
    let world = World::new(5);
    let control = world.open().await;
    world.outside.fail("grant");
    world.outside.unavailable.store(true, Ordering::SeqCst);
    let error = ApiError::from(ops::create_file_system::run(&control, &root(), request("t")).await.unwrap_err());
    assert_eq!((error.code, error.status), ("InternalServerError", 500));
}

/// Architecture section 6: a crash while the keys are being made leaves nothing behind after the next start.
#[tokio::test]
async fn a_crash_before_the_answer_is_undone() {
    let world = World::new(6);
    for step in ["grant", "make"] {
        world.outside.heal();
        let control = world.open().await;
        world.outside.hang(step);
        let call =
            tokio::spawn(async move { ops::create_file_system::run(&control, &root(), request("t")).await.is_ok() });
        settle().await;
        call.abort();
        world.outside.heal();
        let undone = world.outside.count("destroy keys");
        let control = world.open().await;
        assert_eq!(world.outside.count("destroy keys"), undone + 1, "{step}");
        assert!(control.file_systems().is_empty());
        let id = create(&control, "t").await;
        delete(&control, &id).await.unwrap();
        settle().await;
    }
}

/// Architecture section 6: `creating` and `deleting` survive a crash and go on.
#[tokio::test]
async fn life_cycles_go_on_after_a_crash() {
    let world = World::new(7);
    let control = world.open().await;
    world.outside.hang("create");
    let id = create(&control, "t").await;
    assert_eq!(describe(&control, &id).await.unwrap().life_cycle_state, LifeCycleState::Creating);
    let control = world.open().await;
    assert_eq!(describe(&control, &id).await.unwrap().life_cycle_state, LifeCycleState::Creating);
    world.outside.heal();
    let control = world.open().await;
    assert_eq!(describe(&control, &id).await.unwrap().life_cycle_state, LifeCycleState::Available);

    for step in ["destroy fs", "destroy keys"] {
        world.outside.hang(step);
        delete(&control, &id).await.unwrap();
        settle().await;
        assert_eq!(describe(&control, &id).await.unwrap().life_cycle_state, LifeCycleState::Deleting);
        let control = world.open().await;
        assert_eq!(describe(&control, &id).await.unwrap().life_cycle_state, LifeCycleState::Deleting, "{step}");
    }
    world.outside.heal();
    let control = world.open().await;
    assert_eq!(code(describe(&control, &id).await), "FileSystemNotFound");
    assert_eq!(code(delete(&control, &id).await), "FileSystemNotFound");
}

/// Architecture section 6: only what a crash left is undone; a creation that is at work when the start goes on is not.
#[tokio::test]
async fn a_creation_at_work_is_not_undone() {
    let world = World::new(60);
    let control = world.open().await;
    world.outside.hang("make");
    let creating = control.clone();
    let call =
        tokio::spawn(async move { ops::create_file_system::run(&creating, &root(), request("t")).await.is_ok() });
    settle().await;
    control.resume().await;
    assert_eq!(world.outside.count("destroy keys"), 0);
    call.abort();
    world.outside.heal();
    world.open().await;
    assert_eq!(world.outside.count("destroy keys"), 1);
}

/// Architecture section 6: a step that fails is tried again, ever more slowly, until it succeeds.
#[tokio::test]
async fn a_step_that_fails_is_tried_again() {
    let world = World::new(8);
    let control = world.open().await;
    world.outside.fail("create");
    let id = create(&control, "t").await;
    for _ in 0..5 {
        assert_eq!(describe(&control, &id).await.unwrap().life_cycle_state, LifeCycleState::Creating);
        world.simulation.advance(Duration::from_secs(60));
        settle().await;
    }
    assert!(world.outside.count("create") >= 5);
    world.outside.heal();
    world.simulation.advance(Duration::from_secs(60));
    settle().await;
    assert_eq!(describe(&control, &id).await.unwrap().life_cycle_state, LifeCycleState::Available);
}

/// EFS API, DeleteFileSystem: its access points and keys go with it; a file system being deleted takes nothing new.
#[tokio::test]
async fn deletion_takes_everything_along() {
    let world = World::new(9);
    let control = world.open().await;
    let id = create(&control, "t").await;
    let point = model::CreateAccessPointRequest {
        client_token: "p".to_owned(),
        file_system_id: id.clone(),
        ..Default::default()
    };
    let point_id =
        ops::create_access_point::run(&control, &root(), point.clone()).await.unwrap().access_point_id.unwrap();
    world.outside.hang("destroy fs");
    delete(&control, &id).await.unwrap();
    settle().await;
    assert_eq!(
        code(support::mount_target(&control, &id, "subnet-00000000").await),
        "IncorrectFileSystemLifeCycleState"
    );
    let other = model::CreateAccessPointRequest { client_token: "q".to_owned(), ..point };
    let refused = ops::create_access_point::run(&control, &root(), other).await;
    assert_eq!(code(refused), "IncorrectFileSystemLifeCycleState");
    // The keys are gone before the storage is touched: what a failing disk keeps is unreadable.
    assert_eq!(world.outside.count(&format!("destroy keys {id}")), 1);
    assert_eq!(world.outside.count(&format!("destroy {id}")), 1);
    world.outside.heal();
    let control = world.open().await;
    assert_eq!(world.outside.count(&format!("destroy keys {id}")), 2);
    assert!(control.access_point(&point_id).is_none());
}

/// EFS API, CreateFileSystem: combinations that the model's shapes allow and the service does not.
#[tokio::test]
async fn impossible_combinations_are_refused() {
    let world = World::new(10);
    let control = world.open().await;
    let attempt = async |change: &dyn Fn(&mut model::CreateFileSystemRequest)| {
        let mut input = request("t");
        change(&mut input);
        code(ops::create_file_system::run(&control, &root(), input).await)
    };
    let max_io = Some(model::PerformanceMode::MaxIo);
    let zone = || Some("us-east-1a".to_owned());
    let provisioned = Some(model::ThroughputMode::Provisioned);
    let elastic = Some(model::ThroughputMode::Elastic);
    assert_eq!(attempt(&|input| input.throughput_mode = provisioned).await, "BadRequest");
    assert_eq!(attempt(&|input| input.provisioned_throughput_in_mibps = Some(2.0)).await, "BadRequest");
    let rate = |input: &mut model::CreateFileSystemRequest| {
        input.throughput_mode = provisioned;
        input.provisioned_throughput_in_mibps = Some(3415.0);
    };
    assert_eq!(attempt(&rate).await, "ThroughputLimitExceeded");
    let nowhere = Some("us-east-1z".to_owned());
    assert_eq!(attempt(&|input| input.availability_zone_name = nowhere.clone()).await, "UnsupportedAvailabilityZone");
    let one_zone = |input: &mut model::CreateFileSystemRequest| {
        input.performance_mode = max_io;
        input.availability_zone_name = zone();
    };
    assert_eq!(attempt(&one_zone).await, "BadRequest");
    let as_needed = |input: &mut model::CreateFileSystemRequest| {
        input.performance_mode = max_io;
        input.throughput_mode = elastic;
    };
    assert_eq!(attempt(&as_needed).await, "BadRequest");
    assert_eq!(attempt(&|input| input.backup = Some(true)).await, "BadRequest");
    assert_eq!(attempt(&|input| input.availability_zone_name = zone()).await, "ok");
    let found = control.file_systems().remove(0);
    let shown = describe(&control, &found.id).await.unwrap();
    assert_eq!(shown.availability_zone_id.as_deref(), Some("use1-az-a"));
}

/// EFS API, DescribeFileSystems: pages, the filter by token, and one of the two names only.
#[tokio::test]
async fn descriptions_come_in_pages() {
    let world = World::new(11);
    let control = world.open().await;
    let mut ids = Vec::new();
    for number in 0..5 {
        ids.push(create(&control, &format!("token-{number}")).await);
    }
    let by_token =
        model::DescribeFileSystemsRequest { creation_token: Some("token-3".to_owned()), ..Default::default() };
    let found = ops::describe_file_systems::run(&control, &root(), by_token.clone()).await.unwrap();
    assert_eq!(found.file_systems.unwrap()[0].file_system_id, ids[3]);
    let both = model::DescribeFileSystemsRequest { file_system_id: Some(ids[0].clone()), ..by_token };
    assert_eq!(code(ops::describe_file_systems::run(&control, &root(), both).await), "BadRequest");

    let (mut seen, mut marker) = (Vec::new(), None);
    loop {
        let input =
            model::DescribeFileSystemsRequest { max_items: Some(2), marker: marker.clone(), ..Default::default() };
        let page = ops::describe_file_systems::run(&control, &root(), input).await.unwrap();
        assert_eq!(page.marker, marker);
        seen.extend(page.file_systems.unwrap().into_iter().map(|found| found.file_system_id));
        marker = page.next_marker;
        if marker.is_none() {
            break;
        }
    }
    ids.sort();
    assert_eq!(seen, ids);
    let foreign = model::DescribeFileSystemsRequest { marker: Some("nonsense".to_owned()), ..Default::default() };
    assert_eq!(code(ops::describe_file_systems::run(&control, &root(), foreign).await), "BadRequest");
}

/// EFS API, TagResource and its siblings: an equal key is overwritten, `Name` is shown apart, 50 are the most.
#[tokio::test]
async fn tags_are_kept_and_counted() {
    let world = World::new(12);
    let control = world.open().await;
    let id = create(&control, "t").await;
    let tag = |key: &str, value: &str| model::Tag { key: key.to_owned(), value: value.to_owned() };
    let add = async |tags: Vec<model::Tag>| {
        ops::tag_resource::run(&control, &root(), model::TagResourceRequest { resource_id: id.clone(), tags }).await
    };
    add(vec![tag("Name", "one"), tag("team", "a")]).await.unwrap();
    add(vec![tag("Name", "two")]).await.unwrap();
    let control = &world.open().await;
    let found = describe(control, &id).await.unwrap();
    assert_eq!((found.name.as_deref(), found.tags), (Some("two"), vec![tag("Name", "two"), tag("team", "a")]));
    let remove =
        model::UntagResourceRequest { resource_id: id.clone(), tag_keys: vec!["team".to_owned(), "absent".to_owned()] };
    ops::untag_resource::run(control, &root(), remove).await.unwrap();
    let list = model::ListTagsForResourceRequest { resource_id: id.clone(), ..Default::default() };
    let listed = ops::list_tags_for_resource::run(control, &root(), list).await.unwrap();
    assert_eq!(listed.tags.unwrap(), vec![tag("Name", "two")]);
    let many = (0..50).map(|number| tag(&format!("k{number}"), "")).collect();
    let input = model::TagResourceRequest { resource_id: id.clone(), tags: many };
    assert_eq!(code(ops::tag_resource::run(control, &root(), input).await), "BadRequest");
    let absent = model::ListTagsForResourceRequest { resource_id: "fs-00000000".to_owned(), ..Default::default() };
    assert_eq!(code(ops::list_tags_for_resource::run(control, &root(), absent).await), "FileSystemNotFound");
}

/// EFS API, the Describe calls that tools make at once: truthful, also about what is not there.
#[tokio::test]
async fn what_is_not_offered_is_described_as_absent() {
    let world = World::new(13);
    let control = world.open().await;
    let file_system_id = create(&control, "t").await;
    let cx = root();
    let input = model::DescribeLifecycleConfigurationRequest { file_system_id: file_system_id.clone() };
    let found = ops::describe_lifecycle_configuration::run(&control, &cx, input).await.unwrap();
    assert_eq!(found.lifecycle_policies, Some(Vec::new()));
    let input = model::DescribeBackupPolicyRequest { file_system_id: file_system_id.clone() };
    let found = ops::describe_backup_policy::run(&control, &cx, input).await.unwrap();
    assert_eq!(found.backup_policy.unwrap().status, model::Status::Disabled);
    let input = model::DescribeFileSystemPolicyRequest { file_system_id: file_system_id.clone() };
    assert_eq!(code(ops::describe_file_system_policy::run(&control, &cx, input).await), "PolicyNotFound");
    let input =
        model::DescribeReplicationConfigurationsRequest { file_system_id: Some(file_system_id), ..Default::default() };
    assert_eq!(code(ops::describe_replication_configurations::run(&control, &cx, input).await), "ReplicationNotFound");
    let input = model::DescribeBackupPolicyRequest { file_system_id: "fs-00000000".to_owned() };
    assert_eq!(code(ops::describe_backup_policy::run(&control, &cx, input).await), "FileSystemNotFound");
}

/// Architecture section 6: a caller that goes away in the middle of a call leaves a file system on its way, or none.
#[tokio::test]
async fn a_caller_that_goes_away_leaves_nothing_stuck() {
    let world = World::new(15);
    let control = world.open().await;
    for polls in 0..12 {
        let cx = root();
        let mut call = Box::pin(ops::create_file_system::run(&control, &cx, request("t")));
        for _ in 0..polls {
            if poll_once(&mut call).await.is_some() {
                break;
            }
            tokio::task::yield_now().await;
        }
        drop(call);
        settle().await;
        for found in control.file_systems() {
            assert_eq!(found.state, control::Lifecycle::Available, "after {polls} polls");
            let mut call = Box::pin(delete(&control, &found.id));
            let _ = poll_once(&mut call).await;
            drop(call);
            settle().await;
            if control.file_system(&found.id).is_some() {
                delete(&control, &found.id).await.unwrap();
                settle().await;
            }
            assert!(control.file_system(&found.id).is_none());
        }
    }
}

/// Polls a future once.
async fn poll_once<T>(future: &mut (impl Future<Output = T> + Unpin)) -> Option<T> {
    let mut once = true;
    std::future::poll_fn(move |cx| {
        if std::mem::take(&mut once)
            && let std::task::Poll::Ready(done) = std::pin::Pin::new(&mut *future).poll(cx)
        {
            return std::task::Poll::Ready(Some(done));
        }
        std::task::Poll::Ready(None)
    })
    .await
}

/// Architecture section 5, level 3f: a file system's handle key is its own, survives restarts and needs no data key.
#[tokio::test]
async fn the_handle_key_outlives_restarts() {
    let world = World::new(14);
    let control = world.open().await;
    let (one, two) = (create(&control, "a").await, create(&control, "b").await);
    let key = *control.handle_key(&one).unwrap().expose();
    assert_ne!(key, *control.handle_key(&two).unwrap().expose());
    assert_eq!(key, *world.open().await.handle_key(&one).unwrap().expose());
}
