//! The browsable reference: three small files that render `/openapi.json`. They load nothing from elsewhere, so that
//! they work on a machine without a way out.

use axum::{
    http::{HeaderName, HeaderValue, header},
    response::{IntoResponse, Response},
};

const POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; frame-ancestors 'none'; \
     base-uri 'none'; form-action 'none'",
);

fn file(kind: &'static str, text: &'static str) -> Response {
    let headers: [(HeaderName, HeaderValue); 3] = [
        (header::CONTENT_TYPE, HeaderValue::from_static(kind)),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (
            header::X_CONTENT_TYPE_OPTIONS,
            HeaderValue::from_static("nosniff"),
        ),
    ];
    (headers, text).into_response()
}

/// `GET /docs`
pub async fn page() -> Response {
    file("text/html; charset=utf-8", include_str!("docs/page.html"))
}

/// `GET /docs/page.js`
pub async fn script() -> Response {
    file("text/javascript; charset=utf-8", include_str!("docs/page.js"))
}

/// `GET /docs/page.css`
pub async fn style() -> Response {
    file("text/css; charset=utf-8", include_str!("docs/page.css"))
}
