//! The shape of a row of IAM or STS: a form in, XML out.

/// Makes the rows: for each, the handler `identity::ops::FILE::run` with the generated input type of the action. `HOW` says
/// who decides whether it may be done.
macro_rules! query_rows {
    ($identities:ident: $model:path, $namespace:expr; $($name:literal $file:ident $class:ident $how:ident [$($member:literal),*];)*) => {{
        use $model as model;
        vec![$({
            let identities = $identities.clone();
            let row = $crate::Action::row(&model::SERVICE, $name, $crate::Class::$class, &[$($member),*], std::sync::Arc::new(
                move |cx, value| {
                    let identities = identities.clone();
                    Box::pin(async move {
                        let input = $crate::action::input(aws_wire::shape::Protocol::Query, value)?;
                        let result = identity::ops::$file::run(&identities, &cx, input).await?;
                        let operation = model::SERVICE.operation($name).ok_or_else($crate::xml::unknown)?;
                        Ok($crate::xml::answer($namespace, operation, result, &cx, $crate::Class::$class))
                    })
                },
            ));
            $crate::Action { judged: $crate::Judged::$how, ..row }
        }),*]
    }};
}

pub(crate) use query_rows;
