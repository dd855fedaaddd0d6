//! Mount targets and access points.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests may panic")]

mod support;

use std::net::Ipv4Addr;
use std::time::Duration;

use aws_wire::ApiError;
use control::{Control, Lifecycle, model, ops};
use model::LifeCycleState;
use support::{World, code, create, delete, describe, mount_target, root, settle};

async fn remove(control: &Control, id: &str) -> String {
    let input = model::DeleteMountTargetRequest { mount_target_id: id.to_owned() };
    let outcome = ops::delete_mount_target::run(control, &root(), input).await;
    settle().await;
    code(outcome)
}

async fn of(control: &Control, id: &str) -> Vec<model::MountTargetDescription> {
    let input = model::DescribeMountTargetsRequest { file_system_id: Some(id.to_owned()), ..Default::default() };
    ops::describe_mount_targets::run(control, &root(), input).await.unwrap().mount_targets.unwrap()
}

/// EFS API, CreateMountTarget: `creating`, then `available` at an address of the subnet, with all that the CSI driver
/// reads; a file system with mount targets cannot be deleted.
#[tokio::test]
async fn a_mount_target_gets_an_address_of_its_subnet() {
    let world = World::new(1);
    let control = world.open().await;
    let id = create(&control, "t").await;
    let made = mount_target(&control, &id, "subnet-00000000").await.unwrap();
    assert_eq!(made.life_cycle_state, LifeCycleState::Creating);
    let found = of(&control, &id).await.remove(0);
    assert_eq!(found.life_cycle_state, LifeCycleState::Available);
    assert_eq!(found.ip_address.as_deref(), Some("127.77.0.4"));
    assert_eq!(found.availability_zone_name.as_deref(), Some("us-east-1a"));
    assert_eq!(found.availability_zone_id.as_deref(), Some("use1-az-a"));
    assert_eq!(found.vpc_id.as_deref(), Some("vpc-0000000a"));
    assert!(found.network_interface_id.unwrap().starts_with("eni-"));
    assert_eq!(control.mount_target_at(Ipv4Addr::new(127, 77, 0, 4)).unwrap().file_system, id);
    assert_eq!(describe(&control, &id).await.unwrap().number_of_mount_targets, 1);
    assert_eq!(code(delete(&control, &id).await), "FileSystemInUse");

    assert_eq!(remove(&control, &made.mount_target_id).await, "ok");
    assert_eq!(remove(&control, &made.mount_target_id).await, "MountTargetNotFound");
    assert_eq!(world.outside.count("detach 127.77.0.4"), 1);
    // An address that was given back is not the next one given out.
    mount_target(&control, &id, "subnet-00000000").await.unwrap();
    assert_eq!(of(&control, &id).await[0].ip_address.as_deref(), Some("127.77.0.5"));
}

/// EFS API, MountTargetConflict, AvailabilityZonesMismatch, SubnetNotFound, NoFreeAddressesInSubnet, IpAddressInUse.
#[tokio::test]
async fn places_that_cannot_be_are_refused() {
    let world = World::new(2);
    let control = world.open().await;
    let (one, two, three) = (create(&control, "a").await, create(&control, "b").await, create(&control, "c").await);
    mount_target(&control, &one, "subnet-00000000").await.unwrap();
    for (subnet, expected) in [
        ("subnet-00000000", "MountTargetConflict"),
        ("subnet-00000002", "MountTargetConflict"),
        ("subnet-00000003", "MountTargetConflict"),
        ("subnet-0000000f", "SubnetNotFound"),
        ("subnet-00000001", "ok"),
    ] {
        assert_eq!(code(mount_target(&control, &one, subnet).await), expected, "{subnet}");
    }
    mount_target(&control, &two, "subnet-00000001").await.unwrap();
    assert_eq!(code(mount_target(&control, &three, "subnet-00000001").await), "NoFreeAddressesInSubnet");
    assert_eq!(code(mount_target(&control, "fs-00000000", "subnet-00000001").await), "FileSystemNotFound");

    let attempt = async |change: &dyn Fn(&mut model::CreateMountTargetRequest)| {
        let mut input = model::CreateMountTargetRequest {
            file_system_id: two.clone(),
            subnet_id: "subnet-00000000".to_owned(),
            ..Default::default()
        };
        change(&mut input);
        code(ops::create_mount_target::run(&control, &root(), input).await)
    };
    assert_eq!(attempt(&|input| input.ip_address = Some("127.77.0.4".to_owned())).await, "IpAddressInUse");
    assert_eq!(attempt(&|input| input.ip_address = Some("127.78.0.4".to_owned())).await, "BadRequest");
    assert_eq!(attempt(&|input| input.ip_address = Some("127.77.0.0".to_owned())).await, "BadRequest");
    assert_eq!(attempt(&|input| input.ip_address = Some("999.1.1.1".to_owned())).await, "BadRequest");
    assert_eq!(attempt(&|input| input.ipv6_address = Some("::1".to_owned())).await, "BadRequest");
    let groups = |count: usize| Some(vec!["sg-0000000b".to_owned(); count]);
    assert_eq!(attempt(&|input| input.security_groups = groups(1)).await, "SecurityGroupNotFound");
    assert_eq!(attempt(&|input| input.security_groups = groups(6)).await, "SecurityGroupLimitExceeded");
    assert_eq!(attempt(&|input| input.ip_address = Some("127.77.0.9".to_owned())).await, "ok");

    let zoned = model::CreateFileSystemRequest {
        creation_token: "zone".to_owned(),
        availability_zone_name: Some("us-east-1a".to_owned()),
        ..Default::default()
    };
    let zoned = ops::create_file_system::run(&control, &root(), zoned).await.unwrap().file_system_id;
    settle().await;
    assert_eq!(code(mount_target(&control, &zoned, "subnet-00000003").await), "AvailabilityZonesMismatch");
}

/// Architecture section 6: mount targets are attached again at each start; one that cannot be is in `error` and is tried
/// again; one being deleted stays away.
#[tokio::test]
async fn mount_targets_come_back_after_a_restart() {
    let world = World::new(3);
    let control = world.open().await;
    let id = create(&control, "t").await;
    let made = mount_target(&control, &id, "subnet-00000000").await.unwrap();
    world.outside.fail("attach");
    let control = world.open().await;
    assert_eq!(of(&control, &id).await[0].life_cycle_state, LifeCycleState::Error);
    world.outside.heal();
    let control = world.open().await;
    assert_eq!(of(&control, &id).await[0].life_cycle_state, LifeCycleState::Available);
    assert_eq!(world.outside.count("attach"), 3);

    world.outside.hang("detach");
    assert_eq!(remove(&control, &made.mount_target_id).await, "ok");
    assert_eq!(of(&control, &id).await[0].life_cycle_state, LifeCycleState::Deleting);
    world.outside.heal();
    let control = world.open().await;
    assert!(control.mount_targets().is_empty());
    assert_eq!(world.outside.count("attach"), 3);
}

/// EFS API, LifeCycleState: a mount target in `error` is tried again without a restart and says why until it works; it can
/// be deleted meanwhile, and at once.
#[tokio::test]
async fn a_mount_target_in_error_is_tried_again() {
    let world = World::new(9);
    let control = world.open().await;
    let id = create(&control, "t").await;
    world.outside.fail("attach");
    let made = mount_target(&control, &id, "subnet-00000000").await.unwrap().mount_target_id;
    for _ in 0..12 {
        assert_eq!(of(&control, &id).await[0].life_cycle_state, LifeCycleState::Error);
        assert_eq!(control.mount_target_trouble(&made).as_deref(), Some("does not work"));
        world.simulation.advance(Duration::from_secs(60));
        settle().await;
    }
    assert!(world.outside.count("attach") >= 12);
    world.outside.heal();
    world.simulation.advance(Duration::from_secs(60));
    settle().await;
    assert_eq!(of(&control, &id).await[0].life_cycle_state, LifeCycleState::Available);
    assert_eq!(control.mount_target_trouble(&made), None);
    let tries = world.outside.count("attach");
    world.simulation.advance(Duration::from_secs(600));
    settle().await;
    assert_eq!(world.outside.count("attach"), tries);

    world.outside.fail("attach");
    let other = mount_target(&control, &id, "subnet-00000001").await.unwrap().mount_target_id;
    assert_eq!(remove(&control, &other).await, "ok");
    assert_eq!(control.mount_targets().len(), 1);
    world.simulation.advance(Duration::from_secs(60));
    settle().await;
    assert_eq!(control.mount_target_trouble(&other), None);
}

/// EFS API, DescribeMountTargets and the security groups: exactly one of three names, and the default group.
#[tokio::test]
async fn mount_targets_are_found_by_one_name() {
    let world = World::new(4);
    let control = world.open().await;
    let id = create(&control, "t").await;
    let target = mount_target(&control, &id, "subnet-00000000").await.unwrap().mount_target_id;
    let point = access_point(&control, &id, "p", |_| {}).await.unwrap().access_point_id.unwrap();
    let attempt = async |input: model::DescribeMountTargetsRequest| {
        let found = ops::describe_mount_targets::run(&control, &root(), input).await;
        found.map(|found| found.mount_targets.unwrap().len())
    };
    let by_target = model::DescribeMountTargetsRequest { mount_target_id: Some(target.clone()), ..Default::default() };
    let by_point = model::DescribeMountTargetsRequest { access_point_id: Some(point), ..Default::default() };
    assert_eq!(attempt(by_target.clone()).await.unwrap(), 1);
    assert_eq!(attempt(by_point).await.unwrap(), 1);
    assert_eq!(code(attempt(Default::default()).await), "BadRequest");
    let both = model::DescribeMountTargetsRequest { file_system_id: Some(id), ..by_target };
    assert_eq!(code(attempt(both).await), "BadRequest");

    let input = model::DescribeMountTargetSecurityGroupsRequest { mount_target_id: target.clone() };
    let groups = ops::describe_mount_target_security_groups::run(&control, &root(), input).await.unwrap();
    assert_eq!(groups.security_groups, vec!["sg-0000000a".to_owned()]);
    let input = model::ModifyMountTargetSecurityGroupsRequest {
        mount_target_id: target,
        security_groups: Some(vec!["sg-0000000c".to_owned()]),
    };
    let refused = ops::modify_mount_target_security_groups::run(&control, &root(), input).await;
    assert_eq!(code(refused), "SecurityGroupNotFound");
}

async fn access_point(
    control: &Control,
    file_system: &str,
    token: &str,
    change: impl Fn(&mut model::CreateAccessPointRequest),
) -> Result<model::AccessPointDescription, control::ControlError> {
    let mut input = model::CreateAccessPointRequest {
        client_token: token.to_owned(),
        file_system_id: file_system.to_owned(),
        ..Default::default()
    };
    change(&mut input);
    ops::create_access_point::run(control, &root(), input).await
}

/// EFS API, CreateAccessPoint: defaults, everything given comes back, and the view that a mount takes from it.
#[tokio::test]
async fn an_access_point_keeps_what_it_was_given() {
    let world = World::new(5);
    let control = world.open().await;
    let id = create(&control, "t").await;
    let plain = access_point(&control, &id, "plain", |_| {}).await.unwrap();
    assert_eq!(plain.root_directory.unwrap().path.as_deref(), Some("/"));
    assert_eq!((plain.client_token.as_deref(), plain.posix_user), (Some("plain"), None));
    let full = access_point(&control, &id, "full", |input| {
        input.posix_user = Some(model::PosixUser { uid: 1000, gid: 4_294_967_295, secondary_gids: Some(vec![7]) });
        input.root_directory = Some(model::RootDirectory {
            path: Some("/a/b".to_owned()),
            creation_info: Some(model::CreationInfo {
                owner_uid: 1000,
                owner_gid: 1001,
                permissions: "0750".to_owned(),
            }),
        });
        input.tags = Some(vec![model::Tag { key: "Name".to_owned(), value: "n".to_owned() }]);
    })
    .await
    .unwrap();
    let point_id = full.access_point_id.clone().unwrap();
    assert!(point_id.starts_with("fsap-") && point_id.len() == 22);
    assert_eq!(full.life_cycle_state, Some(LifeCycleState::Available));
    let control = world.open().await;
    let input = model::DescribeAccessPointsRequest { access_point_id: Some(point_id.clone()), ..Default::default() };
    let found = ops::describe_access_points::run(&control, &root(), input).await.unwrap().access_points.unwrap();
    assert_eq!(found, vec![full]);
    let view = control.access_point(&point_id).unwrap();
    assert_eq!(view.creation_info.as_ref().map(|info| info.mode), Some(0o750));
    assert_eq!(view.posix_user.as_ref().map(|user| (user.uid, user.gid)), Some((1000, u32::MAX)));
}

/// EFS API, ClientToken and AccessPointNotFound: the codes that the CSI driver matches on.
#[tokio::test]
async fn access_points_answer_as_the_csi_driver_expects() {
    let world = World::new(6);
    let control = world.open().await;
    let id = create(&control, "t").await;
    let made = access_point(&control, &id, "p", |_| {}).await.unwrap().access_point_id.unwrap();
    let error = ApiError::from(access_point(&control, &id, "p", |_| {}).await.unwrap_err());
    assert_eq!((error.code, error.status), ("AccessPointAlreadyExists", 409));
    assert_eq!(error.members, vec![("AccessPointId", made.clone())]);
    for number in 0..130 {
        access_point(&control, &id, &format!("p{number}"), |_| {}).await.unwrap();
    }
    let all = model::DescribeAccessPointsRequest {
        file_system_id: Some(id.clone()),
        max_results: Some(1000),
        ..Default::default()
    };
    let found = ops::describe_access_points::run(&control, &root(), all).await.unwrap();
    assert_eq!((found.access_points.unwrap().len(), found.next_token), (131, None));
    let first = ops::describe_access_points::run(&control, &root(), Default::default()).await.unwrap();
    assert_eq!(first.access_points.unwrap().len(), 100);
    assert!(first.next_token.unwrap().len() <= 128);

    let gone = model::DeleteAccessPointRequest { access_point_id: made };
    ops::delete_access_point::run(&control, &root(), gone.clone()).await.unwrap();
    assert_eq!(code(ops::delete_access_point::run(&control, &root(), gone).await), "AccessPointNotFound");
}

/// EFS API, RootDirectory: at most four levels, none empty and none beginning with a dot.
#[tokio::test]
async fn root_directories_that_cannot_be_are_refused() {
    let world = World::new(7);
    let control = world.open().await;
    let id = create(&control, "t").await;
    for (path, expected) in [
        ("/", "ok"),
        ("/a/b/c/d", "ok"),
        ("/a b/ü", "ok"),
        ("/a/b/c/d/e", "BadRequest"),
        ("a", "BadRequest"),
        ("/a//b", "BadRequest"),
        ("/a/", "BadRequest"),
        ("/../a", "BadRequest"),
        ("/.a", "BadRequest"),
        ("", "BadRequest"),
    ] {
        let root_directory = Some(model::RootDirectory { path: Some(path.to_owned()), creation_info: None });
        let made = access_point(&control, &id, path, |input| input.root_directory = root_directory.clone()).await;
        assert_eq!(code(made), expected, "{path:?}");
    }
}

/// What the joining code reads: a mount target's record carries its state.
#[tokio::test]
async fn the_record_of_a_mount_target_has_its_state() {
    let world = World::new(8);
    let control = world.open().await;
    let id = create(&control, "t").await;
    mount_target(&control, &id, "subnet-00000000").await.unwrap();
    assert_eq!(control.mount_targets()[0].state, Lifecycle::Available);
}
