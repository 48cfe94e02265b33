//! Layers of settings: a flag overrides the environment, which overrides a profile, which overrides a file.

/// A group of settings that can be merged. The values of a higher layer override the values of a lower layer.
pub(crate) trait Layered: Sized {
    /// Returns these settings, merged with `lower`: a setting that is not set in `self` gets its value from `lower`.
    fn over(self, lower: Self) -> Self;
}

impl<T> Layered for Option<T> {
    fn over(self, lower: Self) -> Self {
        self.or(lower)
    }
}

impl<T> Layered for Vec<T> {
    /// A list is one setting: the list of a higher layer replaces the whole list of a lower layer.
    fn over(self, lower: Self) -> Self {
        if self.is_empty() { lower } else { self }
    }
}

impl Layered for u8 {
    fn over(self, lower: Self) -> Self {
        if self == 0 { lower } else { self }
    }
}

/// Implements [`Layered`] for groups by merging each field. The macro names all fields, so the compiler reports a field
/// that was forgotten.
macro_rules! layered {
    ($($group:ident { $($field:ident),+ $(,)? })+) => {$(
        impl Layered for $group {
            fn over(self, lower: Self) -> Self {
                Self { $($field: self.$field.over(lower.$field)),+ }
            }
        }
    )+};
}

pub(super) use layered;
