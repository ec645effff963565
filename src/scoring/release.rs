//! What is swapped together: rules, lists, model, policy, rates and their versions. It never changes once built.
