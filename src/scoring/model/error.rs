//! What keeps a file from being a model that can be served. It reads nothing itself.

/// The newest format that this engine reads and the one it writes.
pub const FORMAT: u32 = 1;

/// A model file is at most this large: 4,096 full trees take 14 MiB.
pub const FILE_MAX_BYTES: usize = 64 << 20;

/// The word that a model file begins with.
pub(super) const MAGIC: &str = "gavel-model";

/// Why a file is not a model that can be served.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ModelError {
    /// The first line is not that of a model file.
    #[error("this is not a model file: it does not begin with `{MAGIC}`")]
    NotAModel,
    /// Written by a newer engine.
    #[error("the model file has format {0}, this engine reads up to {FORMAT}: it was written by a newer one")]
    TooNew(u32),
    /// Larger than any model.
    #[error("the model file has {0} bytes, at most {FILE_MAX_BYTES} are read")]
    TooLarge(usize),
    /// Cut short, or with something added.
    #[error("the model file has {found} bytes where its first line promises {promised}: it is damaged")]
    Length {
        /// How long it is.
        found: usize,
        /// How long its first line makes it.
        promised: usize,
    },
    /// The content does not have the hash that the last line names.
    #[error("the model file's content does not match its hash: it is damaged")]
    Hash,
    /// The header is not what this format's header is.
    #[error("the model file's header: {0}")]
    Header(String),
    /// Parts of the file contradict each other.
    #[error("the model file contradicts itself: {0}")]
    Inconsistent(String),
}

impl ModelError {
    /// A stable code, for metrics and logs.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::NotAModel => "not_a_model",
            Self::TooNew(_) => "model_too_new",
            Self::TooLarge(_) => "model_too_large",
            Self::Length { .. } | Self::Hash => "model_damaged",
            Self::Header(_) | Self::Inconsistent(_) => "model_inconsistent",
        }
    }
}
