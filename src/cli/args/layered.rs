//! Layers of settings: a flag over the environment over a profile over a file.

/// Something that a higher layer sets over a lower one.
pub(crate) trait Layered: Sized {
    /// Returns these settings; those that are not set are taken from `lower`.
    fn over(self, lower: Self) -> Self;
}

impl<T> Layered for Option<T> {
    fn over(self, lower: Self) -> Self {
        self.or(lower)
    }
}

impl<T> Layered for Vec<T> {
    /// A list is one setting: a higher one replaces it whole.
    fn over(self, lower: Self) -> Self {
        if self.is_empty() { lower } else { self }
    }
}

impl Layered for u8 {
    fn over(self, lower: Self) -> Self {
        if self == 0 { lower } else { self }
    }
}

/// Merges field by field, so the compiler finds a field that is forgotten.
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
