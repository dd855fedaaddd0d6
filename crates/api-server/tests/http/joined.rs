//! A control plane joined with a KMS, and with a file service that does nothing: enough for the API.

use std::sync::Arc;

use aws_wire::{CallContext, Caller, Timestamp};
use control::{
    CONTEXT_NAME, Control, DataKeys, DataKeysError, FileSystem, KeyChoice, KeyGrant, KeyPurpose, MountTarget, Network,
    Parts, Provision, ProvisionError, Scope, Size, Subnet, Subnets, Zone,
};
use env::Env;
use kms::{EncryptionContext, Kms, KmsError};
use storage::{BoxFuture, SealedRecords};

use crate::house::{ACCOUNT, REGION};

struct Keys(Kms);

fn service() -> String {
    format!("elasticfilesystem.{REGION}.amazonaws.com")
}

fn as_service(cx: Option<&CallContext>) -> CallContext {
    CallContext {
        caller: Caller::service(ACCOUNT, &service()),
        region: REGION.to_owned(),
        account: ACCOUNT.to_owned(),
        request_id: cx.map(|cx| cx.request_id.clone()).unwrap_or_default(),
        source_ip: None,
        user_agent: None,
        secure: true,
        time: Timestamp::default(),
    }
}

fn context(file_system: &str) -> EncryptionContext {
    EncryptionContext::new([(CONTEXT_NAME.to_owned(), file_system.to_owned())]).unwrap()
}

fn refused(error: KmsError) -> DataKeysError {
    DataKeysError::Refused(error.to_string())
}

impl DataKeys for Keys {
    fn grant<'a>(
        &'a self,
        cx: &'a CallContext,
        file_system: &'a str,
        choice: KeyChoice<'a>,
    ) -> BoxFuture<'a, Result<KeyGrant, DataKeysError>> {
        Box::pin(async move {
            let key = match choice {
                KeyChoice::Service => "alias/aws/elasticfilesystem",
                KeyChoice::Chosen(key) => key,
            };
            let made = self.0.grant_to_service(cx, &service(), key, &context(file_system)).await.map_err(refused)?;
            Ok(KeyGrant { key_arn: made.key_arn, grant_id: made.grant_id, provider: None })
        })
    }

    fn make<'a>(
        &'a self,
        _: Scope<'a>,
        file_system: &'a str,
        purpose: KeyPurpose,
        grant: &'a KeyGrant,
    ) -> BoxFuture<'a, Result<(), DataKeysError>> {
        Box::pin(async move {
            let (cx, name) = (as_service(None), purpose.name(file_system));
            self.0.make_data_key(&cx, &name, &grant.key_arn, &context(file_system)).await.map_err(refused)
        })
    }

    fn destroy<'a>(&'a self, _: Scope<'a>, file_system: &'a str) -> BoxFuture<'a, Result<(), DataKeysError>> {
        Box::pin(async move {
            let names = [KeyPurpose::Data, KeyPurpose::Metadata].map(|purpose| purpose.name(file_system));
            self.0.destroy_data_keys(&names).await.map_err(refused)?;
            self.0.retire_service_grants(&service(), &context(file_system)).await.map_err(refused)
        })
    }
}

struct Nothing;

impl Provision for Nothing {
    fn create<'a>(&'a self, _: &'a FileSystem) -> BoxFuture<'a, Result<(), ProvisionError>> {
        Box::pin(std::future::ready(Ok(())))
    }

    fn destroy<'a>(&'a self, _: &'a FileSystem) -> BoxFuture<'a, Result<(), ProvisionError>> {
        Box::pin(std::future::ready(Ok(())))
    }

    fn size<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Option<Size>> {
        Box::pin(std::future::ready(Some(Size { bytes: 6144, seconds: 0 })))
    }
}

impl Network for Nothing {
    fn attach<'a>(&'a self, _: &'a MountTarget) -> BoxFuture<'a, Result<(), ProvisionError>> {
        Box::pin(std::future::ready(Ok(())))
    }

    fn detach<'a>(&'a self, _: &'a MountTarget) -> BoxFuture<'a, Result<(), ProvisionError>> {
        Box::pin(std::future::ready(Ok(())))
    }
}

pub(crate) async fn control(records: Arc<SealedRecords>, kms: Kms, env: Env) -> Control {
    let zone = Zone { name: "us-east-1a".to_owned(), id: "use1-az1".to_owned() };
    let subnet = Subnet::new("subnet-00000000", "vpc-00000000", zone, "127.77.0.0/16").unwrap();
    let control = Control::open(Parts {
        records,
        handle_wrapping: kms.key_ring().control_subkey("control/handle keys"),
        keys: Arc::new(Keys(kms)),
        provision: Arc::new(Nothing),
        network: Arc::new(Nothing),
        subnets: Subnets::new(vec![subnet]).unwrap(),
        env,
    })
    .await
    .unwrap();
    control.resume().await;
    control
}
