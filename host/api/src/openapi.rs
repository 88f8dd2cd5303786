//! The contract as data: generated from the routes, then completed with what holds for every one of them, so that no
//! handler has to repeat it.

use utoipa::openapi::{
    Components, HeaderBuilder, Info, ObjectBuilder, OpenApi, Paths, Ref, RefOr, Required, Response, Schema,
    Type,
    content::ContentBuilder,
    path::{Operation, Parameter, ParameterBuilder, ParameterIn, PathItem},
    response::ResponseBuilder,
    schema::{KnownFormat, SchemaFormat},
    security::{Http, HttpAuthScheme, SecurityRequirement, SecurityScheme},
    tag::Tag,
};
use velum_model::operation::{OperationKindName, Subject};
use velum_wire::PROBLEM_JSON;

use crate::{auth::BY_BODY, problem::Kind, router};

const ABOUT: &str = "The API of a Velum cloud.

Requests carry `Authorization: Bearer TOKEN`. Lists come in pages (`limit`, `cursor`). What takes time is answered 202 \
with the operation in `Location`; wait for it with `GET /v1/operations/{id}?wait_ms=30000`. POST takes an \
`Idempotency-Key`: for 24 hours the same key with the same request is answered the same, marked \
`Idempotency-Replayed: true`. A single resource has an `ETag`; PATCH, DELETE and the verbs of operations honour `If-Match`. What is refused is \
answered with a problem (RFC 9457) whose `type` is stable:
";

/// The contract of the routes.
#[must_use]
pub fn openapi() -> OpenApi {
    let (_, api) = router::routes().split_for_parts();
    complete(api)
}

/// What the generated part begins with.
pub(crate) fn base() -> OpenApi {
    let kinds = Kind::ALL
        .iter()
        .map(|kind| {
            format!(
                "\n- `{}` ({}): {}.",
                kind.uri(),
                kind.status().as_u16(),
                kind.title()
            )
        })
        .collect::<String>();
    let mut info = Info::new("Velum", env!("CARGO_PKG_VERSION"));
    info.description = Some(format!("{ABOUT}{kinds}"));
    let mut api = OpenApi::new(info, Paths::new());
    let scheme = SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer));
    let mut components = Components::new();
    components.add_security_scheme("token", scheme);
    api.components = Some(components);
    api.security = Some(vec![SecurityRequirement::new("token", Vec::<String>::new())]);
    api
}

/// Adds to each operation what it has in common with the others: its tag and unique id, the path's parameter, the
/// headers it takes and answers, and the problems it may answer.
pub(crate) fn complete(mut api: OpenApi) -> OpenApi {
    let mut tags = Vec::new();
    for (path, item) in &mut api.paths.paths {
        for (verb, operation) in operations(item) {
            let tag = tag_of(path);
            let name = operation.operation_id.take().unwrap_or_default();
            operation.operation_id = Some(format!("{}_{name}", tag.replace('-', "_")));
            operation.tags = Some(vec![tag.to_owned()]);
            if tags.last().is_none_or(|last: &Tag| last.name != tag) {
                tags.push(Tag::new(tag));
            }
            complete_operation(path, verb, operation);
        }
    }
    api.tags = Some(tags);
    if let Some(components) = &mut api.components {
        for schema in components.schemas.values_mut() {
            mend_properties(schema);
        }
        for (name, statuses) in PROBLEMS {
            components
                .responses
                .insert((*name).to_owned(), problem(*statuses).into());
        }
    }
    api
}

/// A field with a default and a comment of its own is generated as all of its type and an object with the comment, which
/// nothing can be. It is its type, with that comment.
fn mend_properties(schema: &mut RefOr<Schema>) {
    let RefOr::T(Schema::Object(object)) = schema else {
        return;
    };
    for property in object.properties.values_mut() {
        let RefOr::T(Schema::AllOf(all)) = property else {
            continue;
        };
        let [of, RefOr::T(Schema::Object(comment))] = all.items.as_slice() else {
            continue;
        };
        let (mut of, words) = (of.clone(), comment.description.clone());
        match &mut of {
            RefOr::T(Schema::Object(object)) => object.description = words,
            RefOr::Ref(reference) => reference.description = words.unwrap_or_default(),
            RefOr::T(_) => {}
        }
        *property = of;
    }
}

/// What answers a secret, or takes one that is used up: nothing of it is kept for a second answer.
const SHOWN_ONCE: [&str; 2] = ["/v1/node-tokens", BY_BODY];

/// Problems as shared answers: a name in the components, and the status.
const PROBLEMS: &[(&str, u16)] = &[
    ("Problem400", 400),
    ("Problem401", 401),
    ("Problem404", 404),
    ("Problem408", 408),
    ("Problem409", 409),
    ("Problem412", 412),
    ("Problem413", 413),
    ("Problem415", 415),
    ("Problem422", 422),
    ("Problem426", 426),
    ("Problem429", 429),
    ("Problem503", 503),
];

#[derive(Clone, Copy, PartialEq, Eq)]
enum Verb {
    Get,
    Put,
    Post,
    Patch,
    Delete,
}

fn operations(item: &mut PathItem) -> impl Iterator<Item = (Verb, &mut Operation)> {
    let all = [
        (Verb::Get, &mut item.get),
        (Verb::Put, &mut item.put),
        (Verb::Post, &mut item.post),
        (Verb::Patch, &mut item.patch),
        (Verb::Delete, &mut item.delete),
    ];
    all.into_iter()
        .filter_map(|(verb, operation)| operation.as_mut().map(|operation| (verb, operation)))
}

fn tag_of(path: &str) -> &str {
    path.strip_prefix("/v1/")
        .map_or("server", |rest| rest.split(['/', ':']).next().unwrap_or(rest))
}

fn complete_operation(path: &str, verb: Verb, operation: &mut Operation) {
    let is_open = matches!(path, "/healthz" | "/readyz" | "/openapi.json");
    if is_open || path == BY_BODY {
        operation.security = Some(Vec::new());
    }
    let parameters = operation.parameters.get_or_insert_default();
    for parameter in parameters.iter_mut() {
        complete_query(path, parameter);
    }
    if path.contains("{id}") {
        parameters.insert(0, id_parameter().into());
    }
    if verb == Verb::Post && !SHOWN_ONCE.contains(&path) {
        parameters.push(key_parameter().into());
    }
    let is_change = matches!(verb, Verb::Patch | Verb::Delete) && !has_no_generation(path);
    if is_change || is_decision(path) {
        parameters.push(match_parameter().into());
    }
    if let Some(RefOr::T(body)) = &mut operation.request_body {
        for (kind, content) in &mut body.content {
            let is_binary = matches!(kind.as_str(), "application/wasm" | "application/octet-stream");
            if let RefOr::T(content) = content
                && is_binary
            {
                content.schema = Some(binary());
            }
        }
    }
    for (status, answer) in &mut operation.responses.responses {
        if let RefOr::T(response) = answer {
            response_headers(path, verb, status, response);
        }
    }
    for status in problems(path, verb, is_open) {
        let reference = RefOr::Ref(Ref::from_response_name(format!("Problem{status}")));
        operation
            .responses
            .responses
            .entry(status.to_string())
            .or_insert(reference);
    }
}

/// What is taken as a query parameter of this name, which is more than the type of a field can tell.
fn complete_query(path: &str, parameter: &mut RefOr<Parameter>) {
    let RefOr::T(parameter) = parameter else { return };
    let Some(RefOr::T(Schema::Object(schema))) = &mut parameter.schema else {
        return;
    };
    let format = |format| Some(SchemaFormat::KnownFormat(format));
    let words = |words: &[&str]| Some(words.iter().map(|word| (*word).into()).collect());
    match (path, parameter.name.as_str()) {
        (_, "name") => schema.pattern = Some(NAME.to_owned()),
        (_, "digest") => schema.pattern = Some("^sha256:[0-9a-f]{64}$".to_owned()),
        (_, "address") => schema.format = format(KnownFormat::Ipv4),
        ("/v1/events", "cursor") => schema.pattern = Some(POSITION.to_owned()),
        (_, "cursor") => schema.format = format(KnownFormat::Uuid),
        ("/v1/events", "kind") | (_, "version") => schema.pattern = Some("^[!-~]{1,64}$".to_owned()),
        ("/v1/operations", "kind") => schema.enum_values = words(&OperationKindName::ALL.map(|k| k.as_str())),
        ("/v1/operations", "subject") => schema.enum_values = words(&Subject::COLLECTIONS),
        _ => {}
    }
}

/// A name, as [`velum_model::Name`] reads it.
const NAME: &str = "^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$";
/// A position in the event log: of each shard the epoch and number of the last event that was read.
const POSITION: &str =
    "^([0-9a-f]{32}:[0-9]{1,18}\\.[0-9]{1,18}(,[0-9a-f]{32}:[0-9]{1,18}\\.[0-9]{1,18})*)?$";

/// Whether a verb decides about what was read, and nothing later: a parked operation's step, a policy's version.
fn is_decision(path: &str) -> bool {
    let verbs = ["/v1/policies/{id}/promote", "/v1/policies/{id}/rollback"];
    path.starts_with("/v1/operations/{id}/") || verbs.contains(&path)
}

/// What is removed as it is, whatever became of what it belongs to.
fn has_no_generation(path: &str) -> bool {
    path.ends_with("/shadow")
}

/// Which problems an operation may answer.
fn problems(path: &str, verb: Verb, is_open: bool) -> Vec<u16> {
    if is_open {
        return if path == "/readyz" { vec![503] } else { Vec::new() };
    }
    let mut statuses = vec![400, 401, 404, 429, 503];
    match verb {
        Verb::Get => {}
        Verb::Put | Verb::Post => statuses.extend([408, 409, 413, 415, 422]),
        Verb::Patch => statuses.extend([408, 409, 412, 413, 415, 422]),
        Verb::Delete if has_no_generation(path) => statuses.push(409),
        Verb::Delete => statuses.extend([409, 412, 422]),
    }
    if path.ends_with("/console") {
        statuses.extend([409, 426]);
    }
    if is_decision(path) {
        statuses.push(412);
    }
    if verb == Verb::Get && has_no_generation(path) {
        statuses.push(409);
    }
    if path.ends_with("/console-log") {
        statuses.push(409);
    }
    statuses
}

/// Bytes as they are: generated, they would read as a list of numbers.
fn binary() -> RefOr<Schema> {
    let format = SchemaFormat::KnownFormat(KnownFormat::Binary);
    ObjectBuilder::new()
        .schema_type(Type::String)
        .format(Some(format))
        .into()
}

fn id_parameter() -> Parameter {
    let schema = ObjectBuilder::new()
        .schema_type(Type::String)
        .format(Some(SchemaFormat::KnownFormat(KnownFormat::Uuid)));
    ParameterBuilder::new()
        .name("id")
        .parameter_in(ParameterIn::Path)
        .required(Required::True)
        .description(Some("Its id."))
        .schema(Some(schema))
        .build()
}

fn key_parameter() -> Parameter {
    let schema = ObjectBuilder::new()
        .schema_type(Type::String)
        .min_length(Some(1))
        .max_length(Some(255))
        .pattern(Some("^[!-~]{1,255}$"));
    ParameterBuilder::new()
        .name("Idempotency-Key")
        .parameter_in(ParameterIn::Header)
        .required(Required::False)
        .description(Some(
            "Makes the request repeatable for 24 hours: the same key is answered the same.",
        ))
        .schema(Some(schema))
        .build()
}

fn match_parameter() -> Parameter {
    let schema = ObjectBuilder::new()
        .schema_type(Type::String)
        .pattern(Some("^(\\*|\"[0-9]{1,18}\")$"));
    ParameterBuilder::new()
        .name("If-Match")
        .parameter_in(ParameterIn::Header)
        .required(Required::False)
        .description(Some(
            "The ETag that was read: a resource that has changed since is left alone (412).",
        ))
        .schema(Some(schema))
        .build()
}

fn response_headers(path: &str, verb: Verb, status: &str, response: &mut Response) {
    let mut add = |name: &str, words: &str| {
        let schema = ObjectBuilder::new().schema_type(Type::String);
        let header = HeaderBuilder::new()
            .schema(Some(schema))
            .description(Some(words))
            .build();
        response.headers.insert(name.to_owned(), header.into());
    };
    // Many at once have an operation and a generation each.
    let is_one = !path.ends_with(":batch");
    match status {
        "201" => add("Location", "Where it is."),
        "202" if is_one => add(
            "Location",
            "The operation that works on it: `/v1/operations/{id}`.",
        ),
        _ => {}
    }
    let single = verb == Verb::Patch || (verb == Verb::Get && path.ends_with("{id}"));
    if is_one && (matches!(status, "201" | "202") || (status == "200" && single)) {
        add(
            "ETag",
            "Its generation, for `If-Match`; absent where it has none.",
        );
    }
    if verb == Verb::Post && status.starts_with('2') && !SHOWN_ONCE.contains(&path) {
        add(
            "Idempotency-Replayed",
            "`true` when the key was known and this was answered before.",
        );
    }
}

fn problem(status: u16) -> Response {
    let titles: Vec<_> = Kind::ALL
        .iter()
        .filter(|kind| kind.status().as_u16() == status)
        .map(|kind| format!("{} (`{}`)", kind.title(), kind.uri()))
        .collect();
    let content = ContentBuilder::new()
        .schema(Some(Ref::from_schema_name("Problem")))
        .build();
    let mut response = ResponseBuilder::new()
        .description(titles.join("; "))
        .content(PROBLEM_JSON, content)
        .build();
    let mut add = |name: &str, words: &str| {
        let schema = ObjectBuilder::new().schema_type(Type::String);
        response.headers.insert(
            name.to_owned(),
            HeaderBuilder::new()
                .schema(Some(schema))
                .description(Some(words))
                .build()
                .into(),
        );
    };
    match status {
        401 => add("WWW-Authenticate", "The scheme: `Bearer`."),
        429 | 503 => add("Retry-After", "Seconds after which to try again."),
        _ => {}
    }
    response
}
