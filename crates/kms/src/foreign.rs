//! Data keys that a KMS elsewhere wrapped: kept like those of our own keys, wrapped once more under the domain key, so that
//! they can be erased with everything else. What they open under is not known here.

use crate::KmsError;
use crate::custody::custody_aad;
use crate::kms::Kms;
use crate::record::CustodyRecord;
use crate::state::Edit;

impl Kms {
    /// Keeps what a KMS elsewhere wrapped. A name that is taken keeps what it holds, so that an interrupted creation can be
    /// gone over again.
    ///
    /// # Errors
    /// The records cannot be written.
    pub async fn keep_foreign(&self, name: &str, blob: &[u8]) -> Result<(), KmsError> {
        let turn = self.turn().await;
        if self.read(|state| state.custody.contains_key(name)) {
            return Ok(());
        }
        let wrapped = self.ring().seal(blob, &custody_aad(name));
        turn.write(vec![Edit::PutCustody(CustodyRecord { name: name.to_owned(), wrapped })]).await
    }

    /// What is kept, as the KMS elsewhere gave it.
    ///
    /// # Errors
    /// [`KmsError::NotFound`] when nothing is kept under the name.
    pub fn kept_foreign(&self, name: &str) -> Result<Vec<u8>, KmsError> {
        self.custody(name)
    }
}
