//! The verbs that every resource has.

use std::marker::PhantomData;

use futures::{Stream, TryStreamExt, stream};
use uuid::Uuid;

use crate::{
    Client, ClientError, Filter,
    http::{Ask, Reply},
    resource::{Creates, Resource, Updates},
};

/// One collection of the API on behalf of one caller: `client.zones()`.
#[derive(Debug)]
pub struct Collection<'a, R> {
    client: &'a Client,
    resource: PhantomData<fn() -> R>,
}

impl<R> Clone for Collection<'_, R> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<R> Copy for Collection<'_, R> {}

/// What was read, with the tag of its intent for a change of just this version.
#[derive(Clone, Debug)]
pub struct Fetched<T> {
    /// The resource.
    pub value: T,
    /// Its ETag.
    pub etag: Option<String>,
}

/// What the server answered to something that makes or does something.
#[derive(Clone, Debug)]
pub struct Answered<T> {
    /// The resource as it was accepted.
    pub value: T,
    /// The operation that goes on, when it takes time.
    pub operation: Option<Uuid>,
    /// The resource's ETag.
    pub etag: Option<String>,
}

impl Reply {
    /// The operation that `Location` leads to.
    pub(crate) fn operation(&self) -> Option<Uuid> {
        let location = self.location()?;
        let (_, id) = location.rsplit_once("/v1/operations/")?;
        id.parse().ok()
    }
}

impl<'a, R: Resource> Collection<'a, R> {
    pub(crate) const fn new(client: &'a Client) -> Self {
        Self {
            client,
            resource: PhantomData,
        }
    }

    pub(crate) const fn client(&self) -> &'a Client {
        self.client
    }

    pub(crate) fn path() -> String {
        format!("/v1/{}", R::COLLECTION)
    }

    pub(crate) fn path_of(id: Uuid) -> String {
        format!("/v1/{}/{id}", R::COLLECTION)
    }

    /// One page: at most `limit` rows (the server's default without), after `cursor` of the page before.
    ///
    /// # Errors
    /// Any [`ClientError`]; a problem when the filter or the cursor is none of the resource's.
    pub async fn list(
        &self,
        filter: &Filter,
        limit: Option<u32>,
        cursor: Option<&str>,
    ) -> Result<velum_wire::Page<R::View>, ClientError> {
        let mut ask = Ask::get(Self::path()).filter(filter);
        if let Some(limit) = limit {
            ask = ask.query("limit", limit);
        }
        if let Some(cursor) = cursor {
            ask = ask.query("cursor", cursor);
        }
        self.client.send(&ask).await?.json()
    }

    /// Every row, page by page, as they are wanted.
    pub fn stream(self, filter: Filter) -> impl Stream<Item = Result<R::View, ClientError>> + 'a
    where
        R: 'a,
    {
        let pages = stream::try_unfold(
            (Some(None::<String>), filter),
            move |(cursor, filter)| async move {
                let Some(cursor) = cursor else { return Ok(None) };
                let page = self.list(&filter, Some(PAGE), cursor.as_deref()).await?;
                let rows = stream::iter(page.items.into_iter().map(Ok));
                Ok::<_, ClientError>(Some((rows, (page.next_cursor.map(Some), filter))))
            },
        );
        pages.try_flatten()
    }

    /// Every row at once.
    ///
    /// # Errors
    /// As [`Collection::list`].
    pub async fn all(&self, filter: &Filter) -> Result<Vec<R::View>, ClientError> {
        self.stream(filter.clone()).try_collect().await
    }

    /// The first `most` rows, and whether there are more.
    ///
    /// # Errors
    /// As [`Collection::list`].
    pub async fn first(&self, filter: &Filter, most: usize) -> Result<(Vec<R::View>, bool), ClientError> {
        let page = |limit, cursor: Option<String>| async move {
            self.list(filter, Some(limit), cursor.as_deref()).await
        };
        first(page, most).await
    }

    /// One resource.
    ///
    /// # Errors
    /// Any [`ClientError`]; a problem when there is none of this id.
    pub async fn get(&self, id: Uuid) -> Result<R::View, ClientError> {
        Ok(self.fetch(id).await?.value)
    }

    /// One resource with its ETag.
    ///
    /// # Errors
    /// As [`Collection::get`].
    pub async fn fetch(&self, id: Uuid) -> Result<Fetched<R::View>, ClientError> {
        let reply = self.client.send(&Ask::get(Self::path_of(id))).await?;
        Ok(Fetched {
            value: reply.json()?,
            etag: reply.etag(),
        })
    }

    /// Removes one; answers the operation when that takes time.
    ///
    /// # Errors
    /// Any [`ClientError`]; a problem that names what still uses it.
    pub async fn delete(&self, id: Uuid) -> Result<Option<Uuid>, ClientError> {
        Ok(self
            .client
            .send(&Ask::delete(Self::path_of(id)))
            .await?
            .operation())
    }

    /// A verb of one resource: `POST /v1/<collection>/<id>/<verb>`.
    pub(crate) async fn act(
        &self,
        id: Uuid,
        verb: &str,
        body: Option<&(impl serde::Serialize + Sync)>,
    ) -> Result<Answered<R::View>, ClientError> {
        let mut ask = Ask::post(format!("{}/{verb}", Self::path_of(id)), Client::new_key());
        if let Some(body) = body {
            ask = ask.json(body)?;
        }
        self.answered(&self.client.send(&ask).await?)
    }

    pub(crate) fn answered<T: serde::de::DeserializeOwned>(
        &self,
        reply: &Reply,
    ) -> Result<Answered<T>, ClientError> {
        Ok(Answered {
            value: reply.json()?,
            operation: reply.operation(),
            etag: reply.etag(),
        })
    }
}

impl<R: Creates> Collection<'_, R> {
    /// Makes one.
    ///
    /// # Errors
    /// Any [`ClientError`]; a problem that names the field.
    pub async fn create(&self, body: &R::Body) -> Result<Answered<R::View>, ClientError> {
        self.create_once(body, &Client::new_key()).await
    }

    /// Makes one under an idempotency key of the caller's choice: with the same key and body the same answer.
    ///
    /// # Errors
    /// As [`Collection::create`]; a problem when the key was used with another body.
    pub async fn create_once(&self, body: &R::Body, key: &str) -> Result<Answered<R::View>, ClientError> {
        let ask = Ask::post(Self::path(), key.to_owned()).json(body)?;
        self.answered(&self.client.send(&ask).await?)
    }
}

impl<R: Updates> Collection<'_, R> {
    /// Changes the fields that `body` names; with an `etag` only if nobody changed it since.
    ///
    /// # Errors
    /// Any [`ClientError`]; a problem that names the field, or says that the resource changed.
    pub async fn update(
        &self,
        id: Uuid,
        body: &R::Body,
        etag: Option<&str>,
    ) -> Result<Answered<R::View>, ClientError> {
        let ask = Ask::patch(Self::path_of(id)).if_match(etag).json(body)?;
        self.answered(&self.client.send(&ask).await?)
    }
}

/// Rows asked for at once when every row is wanted: the server's largest page.
const PAGE: u32 = 500;

/// The first `most` rows of what comes page by page (of a limit, after a cursor), and whether there are more.
pub(crate) async fn first<T, F>(
    mut page: impl FnMut(u32, Option<String>) -> F,
    most: usize,
) -> Result<(Vec<T>, bool), ClientError>
where
    F: Future<Output = Result<velum_wire::Page<T>, ClientError>>,
{
    let mut rows = Vec::new();
    let mut cursor = None;
    loop {
        let wanted = PAGE.min(u32::try_from(most - rows.len()).unwrap_or(PAGE)).max(1);
        let page = page(wanted, cursor).await?;
        rows.extend(page.items);
        cursor = page.next_cursor;
        if cursor.is_none() || rows.len() >= most {
            let more = cursor.is_some() || rows.len() > most;
            rows.truncate(most);
            return Ok((rows, more));
        }
    }
}
