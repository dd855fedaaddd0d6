//! Form parameters as the structure that the model describes. Smithy, "AWS query protocol", "Query key resolution".
//!
//! `Tags.member.1.Key=a` is the member `Key` of the first element of the list `Tags`. EC2's dialect leaves `member` out.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::shape::Shape;
use crate::validate::Invalid;

/// No served action has so many parameters; each may become a structure of its own.
const PAIRS_MAX: usize = 2000;

/// A parameter: what is left of its name, and its value.
type Pair<'a> = (&'a str, &'a str);

/// The input of an action.
///
/// # Errors
/// [`Invalid`] when there are too many parameters, or a value is not of the type that the model has.
pub fn input(pairs: &[(String, String)], shape: &Shape) -> Result<Value, Invalid> {
    if pairs.len() > PAIRS_MAX {
        return Err(Invalid::Constraint("The request has too many parts.".to_owned()));
    }
    let pairs: Vec<Pair<'_>> = pairs.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    structure(&pairs, shape)
}

/// The parameters by the first part of their names.
fn by_first<'a>(pairs: &[Pair<'a>]) -> BTreeMap<&'a str, Vec<Pair<'a>>> {
    let mut groups: BTreeMap<&str, Vec<Pair<'_>>> = BTreeMap::new();
    for (name, value) in pairs {
        let (first, rest) = name.split_once('.').unwrap_or((name, ""));
        groups.entry(first).or_default().push((rest, value));
    }
    groups
}

fn structure(pairs: &[Pair<'_>], shape: &Shape) -> Result<Value, Invalid> {
    let Shape::Structure(members) = shape else { return Ok(Value::Object(Map::new())) };
    let groups = by_first(pairs);
    let mut found = Map::new();
    for member in *members {
        if let Some(group) = groups.get(member.name) {
            found.insert(member.name.to_owned(), value(group, member.shape)?);
        }
    }
    Ok(Value::Object(found))
}

fn value(pairs: &[Pair<'_>], shape: &Shape) -> Result<Value, Invalid> {
    match shape {
        Shape::Structure(_) => structure(pairs, shape),
        Shape::List { member, .. } => list(pairs, member),
        Shape::Map { value: inner, .. } => map(pairs, inner),
        leaf => plain(pairs.last().map_or("", |(_, text)| text), leaf),
    }
}

/// The elements in the order of their numbers. An empty list is the bare name with an empty value.
fn list(pairs: &[Pair<'_>], member: &Shape) -> Result<Value, Invalid> {
    let groups = by_first(pairs);
    let inner = groups.get("member").map(|pairs| by_first(pairs));
    let mut items: Vec<(u32, Vec<Pair<'_>>)> = Vec::new();
    for (number, pairs) in inner.unwrap_or(groups) {
        if let Ok(number) = number.parse() {
            items.push((number, pairs));
        }
    }
    items.sort_by_key(|(number, _)| *number);
    items.iter().map(|(_, pairs)| value(pairs, member)).collect::<Result<Vec<_>, _>>().map(Value::Array)
}

/// `entry.1.key` and `entry.1.value`.
fn map(pairs: &[Pair<'_>], inner: &Shape) -> Result<Value, Invalid> {
    let groups = by_first(pairs);
    let mut found = Map::new();
    for pairs in groups.get("entry").map(|pairs| by_first(pairs)).unwrap_or_default().values() {
        let parts = by_first(pairs);
        let key = parts.get("key").and_then(|pairs| pairs.last());
        if let (Some((_, key)), Some(pairs)) = (key, parts.get("value")) {
            found.insert((*key).to_owned(), value(pairs, inner)?);
        }
    }
    Ok(Value::Object(found))
}

fn plain(text: &str, shape: &Shape) -> Result<Value, Invalid> {
    let wrong = |wanted: &str| Invalid::Type(format!("STRING_VALUE can not be converted to {wanted}"));
    match shape {
        Shape::Integer { .. } | Shape::Long { .. } => {
            text.parse::<i64>().map(Value::from).map_err(|_| wrong("an Integer"))
        }
        Shape::Double { .. } => text.parse::<f64>().map(Value::from).map_err(|_| wrong("a Double")),
        Shape::Boolean => text.parse::<bool>().map(Value::from).map_err(|_| wrong("a Boolean")),
        _ => Ok(Value::String(text.to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{PAIRS_MAX, input};
    use crate::shape::{Location, Member, Shape};
    use crate::validate::Invalid;

    static TEXT: Shape = Shape::Text { min: None, max: None, pattern: None, values: &[], sensitive: false };
    static NUMBER: Shape = Shape::Integer { min: None, max: None };
    static TAG: Shape = Shape::Structure(&[member("Key", &TEXT), member("Values", &TEXTS)]);
    static TAGS: Shape = Shape::List { member: &TAG, min: None, max: None };
    static TEXTS: Shape = Shape::List { member: &TEXT, min: None, max: None };
    static NAMES: Shape = Shape::Map { key: &TEXT, value: &TEXT, min: None, max: None };
    static INPUT: Shape = Shape::Structure(&[
        member("Name", &TEXT),
        member("Max", &NUMBER),
        member("All", &Shape::Boolean),
        member("Tags", &TAGS),
        member("Names", &NAMES),
        member("Zone", &TEXTS),
    ]);

    const fn member(name: &'static str, shape: &'static Shape) -> Member {
        Member { name, required: false, location: Location::Body, shape }
    }

    fn read(form: &str) -> Result<Value, Invalid> {
        input(&crate::sigv4::pairs(form).unwrap(), &INPUT)
    }

    /// Smithy, "AWS query protocol": lists, structures, maps and the types of plain values.
    #[test]
    fn parameters_become_what_the_model_has() {
        let form = "Action=X&Name=true&Max=7&All=true&Tags.member.2.Key=b&Tags.member.1.Key=a&Tags.member.1.Values.member.1=v\
                    &Names.entry.1.key=k&Names.entry.1.value=v&Zone.10=j&Zone.9=i&Unknown.1.2.3=x";
        assert_eq!(
            read(form).unwrap(),
            json!({"Name": "true", "Max": 7, "All": true, "Tags": [{"Key": "a", "Values": ["v"]}, {"Key": "b"}],
                   "Names": {"k": "v"}, "Zone": ["i", "j"]})
        );
        assert_eq!(read("Tags=&Name=").unwrap(), json!({"Tags": [], "Name": ""}));
        assert_eq!(read("Max=x"), Err(Invalid::Type("STRING_VALUE can not be converted to an Integer".to_owned())));
        assert_eq!(read("Tags.member.x.Key=a&Tags.member.1=a").unwrap(), json!({"Tags": [{}]}));
    }

    /// House rule: what a peer can make grow is counted.
    #[test]
    fn parameters_are_counted() {
        let pairs = |count: usize| -> Vec<(String, String)> {
            (0..count).map(|number| (format!("Tags.member.{number}.Key"), "a".to_owned())).collect()
        };
        assert!(input(&pairs(PAIRS_MAX), &INPUT).is_ok());
        assert!(input(&pairs(PAIRS_MAX + 1), &INPUT).is_err());
    }

    proptest::proptest! {
        /// House rule: no input makes a parser panic.
        #[test]
        fn parsing_never_panics(form in "([A-Za-z.0-9]{0,12}=[a-z0-9]{0,3}&){0,12}") {
            let _ = crate::sigv4::pairs(&form).map(|pairs| input(&pairs, &INPUT));
        }
    }
}
