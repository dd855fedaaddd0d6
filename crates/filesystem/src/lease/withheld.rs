//! Why keys are not at hand. Each key has its own cause, so that what clients are told does not change with whichever
//! keeper asked last.

use crate::{LeaseState, SealCause, Which};

/// The causes of both keys, and of records that do not open with them.
#[derive(Debug, Default)]
pub(super) struct Withheld {
    data: Option<(SealCause, String)>,
    metadata: Option<(SealCause, String)>,
    unreadable: Option<String>,
}

impl Withheld {
    /// Whether no key is withheld.
    pub(super) const fn is_empty(&self) -> bool {
        self.data.is_none() && self.metadata.is_none()
    }

    const fn cause(&mut self, which: Which) -> &mut Option<(SealCause, String)> {
        match which {
            Which::Data => &mut self.data,
            Which::Metadata => &mut self.metadata,
        }
    }

    /// The key is not at hand, or will not be soon.
    pub(super) fn withhold(&mut self, which: Which, cause: SealCause, reason: String) {
        *self.cause(which) = Some((cause, reason));
        self.unreadable = None;
    }

    /// The key is at hand.
    pub(super) fn given(&mut self, which: Which) {
        *self.cause(which) = None;
    }

    /// What has to be read before serving was read.
    pub(super) fn readable(&mut self) {
        self.unreadable = None;
    }

    /// What has to be read before serving cannot be read. True if that was not known.
    pub(super) fn unreadable(&mut self, reason: String) -> bool {
        let news = self.unreadable.as_ref() != Some(&reason);
        self.unreadable = Some(reason);
        news
    }

    /// What clients and operators are told: a refusal before a service that does not answer, since waiting does not help
    /// against it. `None`: nothing stands against serving.
    pub(super) fn state(&self) -> Option<LeaseState> {
        let causes = [(Which::Data, &self.data), (Which::Metadata, &self.metadata)];
        let known = || causes.iter().filter_map(|(which, cause)| cause.as_ref().map(|cause| (*which, cause)));
        let worst = known().find(|(_, (cause, _))| *cause == SealCause::Refused).or_else(|| known().next());
        match (worst, &self.unreadable) {
            (Some((which, (cause, reason))), _) => {
                Some(LeaseState::Sealed { which, cause: *cause, reason: reason.clone() })
            }
            (None, Some(reason)) => {
                Some(LeaseState::Sealed { which: Which::Metadata, cause: SealCause::Refused, reason: reason.clone() })
            }
            (None, None) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Architecture section 5: of two keys that are withheld for different causes, the refusal is what clients see, whichever
    /// keeper asked last.
    #[test]
    fn a_refusal_wins() {
        let mut withheld = Withheld::default();
        withheld.withhold(Which::Data, SealCause::Refused, "disabled".into());
        for _ in 0..2 {
            withheld.withhold(Which::Metadata, SealCause::Unreachable, "no answer".into());
            let expected =
                LeaseState::Sealed { which: Which::Data, cause: SealCause::Refused, reason: "disabled".into() };
            assert_eq!(withheld.state(), Some(expected));
        }
        withheld.given(Which::Data);
        assert!(matches!(
            withheld.state(),
            Some(LeaseState::Sealed { which: Which::Metadata, cause: SealCause::Unreachable, .. })
        ));
        withheld.given(Which::Metadata);
        assert!(withheld.is_empty() && withheld.state().is_none());
        assert!(withheld.unreadable("damaged".into()) && !withheld.unreadable("damaged".into()));
        assert!(matches!(withheld.state(), Some(LeaseState::Sealed { cause: SealCause::Refused, .. })));
    }
}
