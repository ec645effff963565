//! A trained model in its compiled form: probability and contributions. It never learns.
