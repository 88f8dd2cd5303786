//! Which query parameters each route takes, as the contract says. Any other is refused, whether or not the handler looks at
//! its query: who misspells `dry_run`, or asks for it where there is none, must not find the thing done.

use std::{collections::HashMap, sync::Arc};

use axum::{
    extract::{MatchedPath, Query, Request, State},
    http::Method,
    middleware::Next,
    response::{IntoResponse, Response},
};
use utoipa::openapi::{
    OpenApi, RefOr,
    path::{Operation, ParameterIn, PathItem},
};

use crate::error::{Answered, Refused};

/// Where queries are looked at. What asks for health and figures puts into a query what it likes.
const CHECKED: &str = "/v1/";

/// The query parameters of each route.
#[derive(Debug)]
pub(crate) struct Queries {
    /// By the path as the router and the contract both write it, then by method; a path has few.
    routes: HashMap<String, Vec<(Method, Vec<String>)>>,
}

impl Queries {
    /// Those of a contract.
    pub(crate) fn of(contract: &OpenApi) -> Self {
        let routes = contract
            .paths
            .paths
            .iter()
            .filter(|(path, _)| path.starts_with(CHECKED))
            .map(|(path, item)| (path.clone(), methods(item)))
            .collect();
        Self { routes }
    }

    /// What a route takes; none for what is no route under [`CHECKED`], which is answered 404 or 405 as it is.
    fn taken(&self, method: &Method, path: &str) -> Option<&[String]> {
        // HEAD is answered by the handler of GET.
        let is_it = |of: &Method| of == method || (*method == Method::HEAD && *of == Method::GET);
        let methods = self.routes.get(path)?;
        let (_, names) = methods.iter().find(|(of, _)| is_it(of))?;
        Some(names)
    }

    fn check(&self, request: &Request) -> Answered<()> {
        let path = request.extensions().get::<MatchedPath>();
        let Some(taken) = path.and_then(|path| self.taken(request.method(), path.as_str())) else {
            return Ok(());
        };
        let Query(given) = Query::<Vec<(String, String)>>::try_from_uri(request.uri())?;
        match given.iter().find(|(name, _)| !taken.contains(name)) {
            Some((name, _)) => Err(Refused::unknown_parameter(name, taken)),
            None => Ok(()),
        }
    }
}

fn methods(item: &PathItem) -> Vec<(Method, Vec<String>)> {
    let all = [
        (Method::GET, &item.get),
        (Method::PUT, &item.put),
        (Method::POST, &item.post),
        (Method::PATCH, &item.patch),
        (Method::DELETE, &item.delete),
    ];
    all.into_iter()
        .filter_map(|(method, operation)| Some((method, names(operation.as_ref()?))))
        .collect()
}

fn names(operation: &Operation) -> Vec<String> {
    let parameters = operation.parameters.iter().flatten();
    parameters
        .filter_map(|parameter| match parameter {
            RefOr::T(parameter) if parameter.parameter_in == ParameterIn::Query => {
                Some(parameter.name.clone())
            }
            // Nothing generates a reference to a parameter; `tests/queries` would find one refused.
            _ => None,
        })
        .collect()
}

/// Refuses a request with a query parameter that its route does not take, before anything of its body is read.
pub(crate) async fn refuse_unknown(
    State(queries): State<Arc<Queries>>,
    request: Request,
    next: Next,
) -> Response {
    let checked = queries.check(&request);
    match checked {
        Ok(()) => next.run(request).await,
        Err(refused) => refused.into_response(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_route_takes_what_the_contract_says() {
        let queries = Queries::of(&crate::openapi());
        let taken = |method: Method, path: &str| queries.taken(&method, path).map(<[String]>::to_vec);
        let dry_run = Some(vec!["dry_run".to_owned()]);
        assert_eq!(taken(Method::POST, "/v1/instances"), dry_run);
        assert_eq!(taken(Method::POST, "/v1/instances:batch"), Some(Vec::new()));
        assert_eq!(taken(Method::DELETE, "/v1/instances/{id}"), Some(Vec::new()));
        let listed = taken(Method::GET, "/v1/zones");
        assert!(
            listed
                .as_ref()
                .is_some_and(|names| names.contains(&"limit".to_owned()))
        );
        assert_eq!(taken(Method::HEAD, "/v1/zones"), listed);
        for (method, path) in [
            (Method::GET, "/healthz"),
            (Method::GET, "/metrics"),
            (Method::GET, "/docs"),
            (Method::DELETE, "/v1/zones"),
            (Method::GET, "/v1/nowhere"),
        ] {
            assert_eq!(taken(method, path), None, "{path}");
        }
    }
}
