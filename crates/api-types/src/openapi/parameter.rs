//! A parameter of a request or a header of an answer, described in a row: its name, what it is, and what it may be.

use serde_json::Value;
use utoipa::openapi::{
    ArrayBuilder, Header, HeaderBuilder, Object, Ref, RefOr, Required, Schema, SchemaFormat, Type,
    extensions::Extensions,
    path::{Parameter, ParameterBuilder, ParameterIn, ParameterStyle},
};

/// A parameter or a header being described: until something else is said, a text that may be left out.
pub(super) struct Param {
    place: ParameterIn,
    pub(super) name: String,
    about: String,
    required: bool,
    form: Object,
    /// The schema, if it is not `form`.
    schema: Option<RefOr<Schema>>,
}

pub(super) fn query(name: &str, about: &str) -> Param {
    Param::new(ParameterIn::Query, name, about)
}

pub(super) fn header(name: &str, about: &str) -> Param {
    Param::new(ParameterIn::Header, name, about)
}

pub(super) fn path(name: &str, about: &str) -> Param {
    Param::new(ParameterIn::Path, name, about).required()
}

/// `true` or `false` in the query.
pub(super) fn flag(name: &str, about: &str) -> Param {
    query(name, about).one_of(&["true", "false"])
}

/// How many items a page has at most.
pub(super) fn limit(about: &str, default: usize, most: usize) -> Param {
    query("limit", about).integer().min(1).max(most).default(default)
}

/// Where a page begins.
pub(super) fn cursor(about: &str) -> Param {
    query("cursor", about).min(1)
}

/// One or more values in the query, between commas or in several parameters of the same name.
pub(super) fn list(name: &str, about: &str, item: &str, most: usize) -> Param {
    let items = ArrayBuilder::new().items(RefOr::<Schema>::from(Ref::from_schema_name(item)));
    query(name, &format!("{about} Comma-separated, or repeated."))
        .like(items.min_items(Some(1)).max_items(Some(most)))
}

impl Param {
    fn new(place: ParameterIn, name: &str, about: &str) -> Self {
        Self {
            place,
            name: name.to_owned(),
            about: about.to_owned(),
            required: false,
            form: Object::with_type(Type::String),
            schema: None,
        }
    }

    pub(super) fn required(mut self) -> Self {
        self.required = true;
        self
    }

    pub(super) fn integer(mut self) -> Self {
        self.form.schema_type = Type::Integer.into();
        self
    }

    fn is_integer(&self) -> bool {
        self.form.schema_type == Type::Integer.into()
    }

    /// The least value, or the length of the shortest text.
    pub(super) fn min(mut self, least: usize) -> Self {
        match self.is_integer() {
            true => self.form.minimum = Some(least.into()),
            false => self.form.min_length = Some(least),
        }
        self
    }

    /// The largest value, or the length of the longest text.
    pub(super) fn max(mut self, most: usize) -> Self {
        match self.is_integer() {
            true => self.form.maximum = Some(most.into()),
            false => self.form.max_length = Some(most),
        }
        self
    }

    pub(super) fn pattern(mut self, pattern: &str) -> Self {
        self.form.pattern = Some(pattern.to_owned());
        self
    }

    pub(super) fn format(mut self, format: &str) -> Self {
        self.form.format = Some(SchemaFormat::Custom(format.to_owned()));
        self
    }

    pub(super) fn one_of(mut self, values: &[&str]) -> Self {
        self.form.enum_values = Some(values.iter().map(|value| (*value).into()).collect());
        self
    }

    pub(super) fn default(mut self, value: impl Into<Value>) -> Self {
        self.form.default = Some(value.into());
        self
    }

    pub(super) fn example(mut self, example: impl Into<Value>) -> Self {
        self.form.examples = vec![example.into()];
        self
    }

    /// Of a type that the document has.
    pub(super) fn of(self, name: &str) -> Self {
        self.like(Ref::from_schema_name(name))
    }

    /// With any schema.
    pub(super) fn like(mut self, schema: impl Into<RefOr<Schema>>) -> Self {
        self.schema = Some(schema.into());
        self
    }
}

impl From<Param> for Parameter {
    fn from(param: Param) -> Self {
        let required = match param.required {
            true => Required::True,
            false => Required::False,
        };
        let is_list = matches!(param.schema, Some(RefOr::T(Schema::Array(_))));
        ParameterBuilder::new()
            .name(param.name)
            .parameter_in(param.place)
            .required(required)
            .description(Some(param.about))
            .schema(Some(param.schema.unwrap_or(param.form.into())))
            .style(is_list.then_some(ParameterStyle::Form))
            .explode(is_list.then_some(false))
            .build()
    }
}

impl From<Param> for Header {
    fn from(param: Param) -> Self {
        let required = || -> Extensions { [("required", true)].into_iter().collect() };
        HeaderBuilder::new()
            .description(Some(param.about))
            .schema(Some(param.schema.unwrap_or(param.form.into())))
            .extensions(param.required.then(required))
            .build()
    }
}
