//! The one typed language of rules and features: text to checked program. A program cannot fail once compiled.
