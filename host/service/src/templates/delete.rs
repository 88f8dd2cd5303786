//! `DELETE /v1/templates/{id}`

use velum_model::{
    TemplateId,
    operation::{OperationKindName, Subject},
    page::Page,
    storage::{Template, TemplateState},
    tenancy::{Caller, Scope},
};
use velum_operation::params::TemplateDelete;
use velum_store::{Change, Commit, InstanceFilter};

use crate::{
    error::ServiceError,
    request::{Accepted, Answered, Keyed},
    services::Services,
    write::{Acceptance, accepted_event, expect},
};

impl Services {
    /// Removes a template with its image and the layers of it that pools hold.
    ///
    /// # Errors
    /// It does not exist, instances were made from it, an operation is at work on it, `expected` is not its
    /// generation.
    pub async fn template_delete(
        &self,
        caller: &Caller,
        id: TemplateId,
        expected: Option<u64>,
        keyed: Option<Keyed<Accepted<Template>>>,
    ) -> Result<Answered<Accepted<Template>>, ServiceError> {
        if let Some(answer) = self.known(keyed.as_ref()).await? {
            return Ok(Answered::Replayed(answer));
        }
        let mut template = self.template_get(caller, id).await?;
        expect("template", id.uuid(), expected, template.generation)?;
        if template.state == TemplateState::Deleting {
            return Err(ServiceError::InvalidState {
                what: "template",
                id: id.uuid(),
                problem: "the template is being removed already".into(),
            });
        }
        self.check_unused(id).await?;
        let zone = self.zone_of(template.zone).await?;
        let (operation, write, fence) = self.accept(
            caller,
            Acceptance {
                kind: OperationKindName::TemplateDelete,
                subject: Subject::Template(id),
                project: template.project,
                shard: zone.shard,
                params: TemplateDelete::default(),
                also_locks: None,
                preempts: false,
            },
        )?;
        let about = ("templates", id.uuid());
        let commit = Commit {
            fence: Some(fence),
            operation: Some(write),
            changes: vec![Change::TemplateState {
                id,
                to: TemplateState::Deleting,
                virtual_bytes: None,
                reference: None,
            }],
            events: vec![accepted_event(
                caller,
                "template.deleting",
                template.project,
                operation,
                about,
            )],
            ..Commit::default()
        };
        template.state = TemplateState::Deleting;
        template.generation += 1;
        let accepted = Accepted {
            resource: template,
            operation,
        };
        self.make("accept the removal", commit, keyed.as_ref(), accepted)
            .await
    }

    /// Instances of any project count, seen or not.
    async fn check_unused(&self, id: TemplateId) -> Result<(), ServiceError> {
        let made_from_it = InstanceFilter {
            template: Some(id),
            ..InstanceFilter::default()
        };
        let page = Page::default();
        let instances = self.read().instances(Scope::All, &made_from_it, page).await;
        let instances = instances.map_err(|error| ServiceError::from_store("look for instances", error))?;
        let by = match (instances.items.len(), instances.next) {
            (0, _) => return Ok(()),
            (1, _) => "1 instance".into(),
            (count, None) => format!("{count} instances"),
            (count, Some(_)) => format!("more than {count} instances"),
        };
        Err(ServiceError::InUse {
            what: "template",
            id: id.uuid(),
            by,
        })
    }
}
