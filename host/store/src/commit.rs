//! What can be committed. Every write of Velum is a [`Commit`]: a list of typed [`Change`]s that become true together
//! or not at all. The writer puts what waits into one transaction, groups the changes of all commits by kind and
//! applies each kind with one set-based statement, so that the number of statements does not grow with the batch.

pub(crate) use crate::error::{Refused, StoreError};
use serde_json::Value;
use uuid::Uuid;

use velum_model::{
    Timestamp,
    affinity::{AffinityGroup, AffinityTie},
    decision::Decision,
    enrolment::{AuthorityRecord, EnrolledNode, NodeToken},
    id::*,
    infrastructure::*,
    instance::{Instance, InstanceState, ObservedState, Run},
    operation::{Operation, OperationState, Subject},
    orphan::Orphan,
    plugin::{Activation, Plugin, Policy, PolicyShadow, PolicyVersion},
    port::storage::Attachment,
    storage::{Layer, Publication, Template, TemplateState, Volume, VolumeState},
    trust::{PluginName, Publisher, PublisherKey, Revocation},
};

/// A change of rows. Inserts make their claims: a run claims its compute host's vCPUs, memory and resources, a volume and a layer
/// their bytes of the pool, a NIC its address; deletes release them. Every `generation` is the one that was read: a
/// row that has moved on since makes the commit [`Refused::Stale`].
#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    /// A new zone; its shard is made with it, at epoch 1, held by this server.
    InsertZone(Zone),
    /// Name, access, policies of a zone.
    UpdateZone(Zone),
    /// A new pod.
    InsertPod(Pod),
    /// Name of a pod, and whom it is dedicated to.
    UpdatePod(Pod),
    /// A new cluster.
    InsertCluster(Cluster),
    /// Name and overcommit of a cluster, and whom it is dedicated to; the ceilings of its compute hosts follow (law 2).
    UpdateCluster(Cluster),
    /// A new compute host; claims its private address if it has one.
    InsertComputeHost(Box<ComputeHost>),
    /// Name, capacity, resources, tags, attributes, intent, config, whom it is dedicated to; the ceilings follow. Driver and abilities:
    /// operations that were accepted before keep the driver that it had. A resource that it does not name stays.
    UpdateComputeHost(Box<ComputeHost>),
    /// What was seen of a compute host. Carries no generation: observation is a row of its own; only a report with a
    /// later time is believed.
    ObserveComputeHost {
        /// Which.
        id: ComputeHostId,
        /// What it is.
        state: HostState,
        /// Its boot id, if it answered.
        boot_id: Option<String>,
        /// When.
        at: Timestamp,
    },
    /// A new pool.
    InsertStoragePool(Box<StoragePool>),
    /// Name, capacity, tags, attributes, intent; the ceiling follows. Provider and abilities: operations that were
    /// accepted before keep the provider that it had.
    UpdateStoragePool(Box<StoragePool>),
    /// A new image store.
    InsertImageStore(ImageStore),
    /// A new range of addresses.
    InsertIpRange(IpRange),
    /// A new network.
    InsertNetwork(Network),
    /// Name and resolvers of a network.
    UpdateNetwork(Network),
    /// A new compute offering.
    InsertComputeOffering(ComputeOffering),
    /// Name, tags, policy of a compute offering.
    UpdateComputeOffering(ComputeOffering),
    /// A new disk offering.
    InsertDiskOffering(DiskOffering),
    /// Name and tags of a disk offering.
    UpdateDiskOffering(DiskOffering),
    /// A new network offering.
    InsertNetworkOffering(NetworkOffering),
    /// Name of a network offering.
    UpdateNetworkOffering(NetworkOffering),
    /// A new publisher of plugins.
    InsertPublisher(Publisher),
    /// Description of a publisher.
    UpdatePublisher(Publisher),
    /// A new key of a publisher.
    InsertPublisherKey(PublisherKey),
    /// A key is trusted no more. Stale when it was revoked already.
    RevokePublisherKey {
        /// Which.
        id: PublisherKeyId,
        /// Why.
        revocation: Revocation,
    },
    /// A new plugin.
    InsertPlugin(Box<Plugin>),
    /// Whose the name of a plugin is and its highest version, as it becomes by installing `plugin`. Stale when it is not
    /// as it was read.
    ClaimPluginName {
        /// The plugin that is installed in the same commit.
        plugin: PluginId,
        /// What becomes true.
        name: PluginName,
        /// What was read; none = nothing of the name was ever installed.
        was: Option<PluginName>,
    },
    /// A zone uses a plugin for the first time. Nothing happens if it did so meanwhile: the winner's is read back with
    /// `Reader::activation`.
    InsertActivation(Activation),
    /// It uses another version of it.
    UpdateActivation(Activation),
    /// A new policy.
    InsertPolicy(Policy),
    /// Digest, configuration, fallback, name of a policy.
    UpdatePolicy(Policy),
    /// What a policy is from this generation on; old ones are forgotten.
    InsertPolicyVersion(Box<PolicyVersion>),
    /// A shadow sees a policy's asks from now on. Refused when the policy has one.
    BeginShadow(Box<PolicyShadow>),
    /// It ends. Stale when it is gone.
    EndShadow {
        /// Whose.
        policy: PolicyId,
        /// Which.
        id: ShadowId,
    },
    /// What this run of a server counted of a shadow so far. Nothing happens if the shadow is gone.
    CountShadow {
        /// Which.
        shadow: ShadowId,
        /// Names the run of the server.
        run: Uuid,
        /// The counts, in the writer's own form.
        counts: Value,
    },
    /// Removes a row that nothing uses any more (RESTRICT keys say what does: [`Refused::InUse`]).
    Delete {
        /// From which table.
        table: Table,
        /// Which row.
        id: Uuid,
        /// The generation read; 0 where the table has none.
        generation: u64,
    },

    /// A new template.
    InsertTemplate(Template),
    /// Bytes of an upload that arrived; only forward.
    TemplateReceived {
        /// Which.
        id: TemplateId,
        /// In all.
        received_bytes: u64,
    },
    /// A template's state; `ready` brings size and reference.
    TemplateState {
        /// Which.
        id: TemplateId,
        /// What it becomes.
        to: TemplateState,
        /// The size that a guest sees, when it becomes ready.
        virtual_bytes: Option<u64>,
        /// The store's name, when it becomes ready.
        reference: Option<String>,
    },

    /// A new affinity group.
    InsertAffinityGroup(AffinityGroup),
    /// Name and description of an affinity group.
    UpdateAffinityGroup(AffinityGroup),
    /// A new instance is in these groups, which are of its zone and project ([`Refused::MissingReference`]).
    JoinAffinityGroups {
        /// Which.
        instance: InstanceId,
        /// The groups, each once.
        groups: Vec<AffinityGroupId>,
    },
    /// A new run of an instance that is in groups takes its place in those that are required, until it ends. Refused with
    /// [`Refused::NoRoom`] when another member is where it may not be.
    TakePlaces {
        /// Which.
        run: RunId,
        /// Where it is.
        compute_host: ComputeHostId,
        /// All groups of its instance.
        ties: Vec<AffinityTie>,
    },

    /// A new instance, without its run.
    InsertInstance(Box<Instance>),
    /// An instance's state; refused unless it was one of `from`. Bumps the generation.
    InstanceState {
        /// Which.
        id: InstanceId,
        /// One of these before.
        from: Vec<InstanceState>,
        /// What it becomes.
        to: InstanceState,
    },
    /// Which decision placed an instance's newest run.
    InstanceDecision {
        /// Which.
        id: InstanceId,
        /// The decision, stored in the same commit.
        decision: DecisionId,
    },
    /// Removes an instance; its NICs, run and root volume went before.
    DeleteInstance(InstanceId),
    /// A new run: claims the compute host. Refused with [`Refused::NoRoom`] when it does not fit.
    InsertRun(Run),
    /// What was seen of a run; refused if the run is gone.
    ObserveRun {
        /// Which.
        id: RunId,
        /// What.
        observed: ObservedState,
        /// When.
        at: Timestamp,
    },
    /// Ends a run: releases the claim; the instance remembers the host. Nothing happens if it is gone.
    DeleteRun(RunId),
    /// A new NIC: claims its address in its network. Refused with [`Refused::AddressTaken`].
    InsertNic {
        /// The NIC.
        nic: Nic,
        /// The range that its address is of.
        range: IpRangeId,
        /// Id of the address row.
        address_id: IpAddressId,
    },
    /// Removes a NIC and releases its address. Nothing happens if it is gone.
    DeleteNic(NicId),

    /// A new volume: claims its pool. With an attachment, also the slot (one writer, one volume a slot).
    InsertVolume(Box<Volume>),
    /// The provider made it.
    VolumeReady {
        /// Which.
        id: VolumeId,
        /// The provider's name.
        backend_id: String,
        /// The layer that it depends on.
        parent: Option<LayerId>,
    },
    /// A volume's state; refused unless it was `from`.
    VolumeState {
        /// Which.
        id: VolumeId,
        /// Before.
        from: VolumeState,
        /// After.
        to: VolumeState,
    },
    /// Puts a volume into a slot of an instance.
    AttachVolume {
        /// Which.
        id: VolumeId,
        /// To which.
        instance: InstanceId,
        /// Where.
        slot: u16,
    },
    /// Takes it out. Nothing happens if it is out.
    DetachVolume(VolumeId),
    /// Removes a volume: releases the pool. Nothing happens if it is gone.
    DeleteVolume(VolumeId),
    /// A new publication (volume, compute host, run), before the provider is asked.
    InsertPublication(Publication),
    /// How the volume is reached; the identity is unique over all providers.
    PublicationReady {
        /// The volume.
        volume: VolumeId,
        /// The run.
        run: RunId,
        /// How.
        attachment: Attachment,
    },
    /// Ends a publication. Nothing happens if it is gone.
    DeletePublication {
        /// The volume.
        volume: VolumeId,
        /// The run.
        run: RunId,
    },
    /// A new layer unless (pool, template) has one: claims its pool. The winner's id is read back with
    /// `Reader::layer_of`.
    InsertLayer(Layer),
    /// The layer can be cloned.
    LayerReady {
        /// Which.
        id: LayerId,
        /// The provider's name.
        backend_id: String,
    },
    /// Removes a layer that no volume depends on (RESTRICT): releases the pool. Nothing happens if it is gone.
    DeleteLayer(LayerId),

    /// Something was seen that no row owns: a new row, or the sighting in place of the one before. Nothing happens if its
    /// place is gone.
    SeeOrphan(Box<Orphan>),
    /// It is gone, or has an owner. Nothing happens if the row is.
    ForgetOrphan(OrphanId),

    /// The authority of the cloud. Nothing happens if there is one: the winner's is read back with `Reader::authority`.
    KeepAuthority(AuthorityRecord),
    /// A token that a machine may join with.
    InsertNodeToken(NodeToken),
    /// A machine joined: a new row, or a new certificate of the one with its key. Stale when the token was used or ended
    /// meanwhile.
    EnrolNode {
        /// The machine.
        node: EnrolledNode,
        /// What it joined with.
        token: NodeTokenId,
    },
}

/// Tables from which [`Change::Delete`] may remove a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Table {
    /// Zones (with their shard).
    Zone,
    /// Pods.
    Pod,
    /// Clusters.
    Cluster,
    /// Compute hosts (releases the private address).
    ComputeHost,
    /// Storage pools.
    StoragePool,
    /// Image stores.
    ImageStore,
    /// Ranges of addresses.
    IpRange,
    /// Networks.
    Network,
    /// Compute offerings.
    ComputeOffering,
    /// Disk offerings.
    DiskOffering,
    /// Network offerings.
    NetworkOffering,
    /// Templates.
    Template,
    /// Plugins.
    Plugin,
    /// Policies.
    Policy,
    /// Publishers (with their keys).
    Publisher,
    /// Affinity groups.
    AffinityGroup,
}

/// A key of a caller under which the same answer is given again for 24 hours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Idempotency {
    /// Whose key.
    pub token: TokenId,
    /// The key.
    pub key: String,
    /// SHA-256 over method, path and body.
    pub request_hash: Vec<u8>,
    /// The answer to keep.
    pub answer: StoredAnswer,
}

/// An answer as it was given the first time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredAnswer {
    /// HTTP status.
    pub status: u16,
    /// `Location`, if there was one.
    pub location: Option<String>,
    /// `ETag`, if there was one.
    pub etag: Option<String>,
    /// The body.
    pub body: String,
}

/// An event to be numbered and written with the commit.
#[derive(Clone, Debug, PartialEq)]
pub struct NewEvent {
    /// `zone.created`, `instance.state`, `operation.done`, …
    pub kind: String,
    /// Owner of the resource.
    pub project: ProjectId,
    /// Collection of the resource in the API.
    pub collection: &'static str,
    /// Its id.
    pub resource: Uuid,
    /// The operation that did it.
    pub operation: Option<OperationId>,
    /// Who asked.
    pub caller: String,
    /// More, by kind.
    pub data: Value,
}

/// What becomes of an operation's row.
#[derive(Clone, Debug, PartialEq)]
pub enum OperationWrite {
    /// A new one, with its lock rows. A lock that another operation holds refuses the commit with
    /// [`Refused::Locked`], unless `preempts`: then the holder's `cancel_requested` is set and the lock passes to the
    /// new operation, which waits (its first step) until the holder has ended. A kind that
    /// [supersedes what is parked](velum_model::operation::OperationKindName::supersedes_parked) takes the lock of a
    /// parked holder in any case.
    Insert {
        /// The operation.
        operation: Box<Operation>,
        /// What it locks.
        locks: Vec<Subject>,
        /// Whether it may cancel who holds them.
        preempts: bool,
    },
    /// The next state of one: state, journal, progress, note, error, due time, version, params. `generation` is the
    /// one read. When it has ended, its lock rows go.
    Update(Box<Operation>),
}

/// What is to become true together.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Commit {
    /// The right to write: shard and the epoch under which the writer owns it. A newer epoch in the database refuses
    /// the commit with [`Refused::Fenced`]. None for rows that no shard owns (offerings, plugins, policies, new zones).
    pub fence: Option<(ShardId, u64)>,
    /// Checked first: a key that is known answers [`Committed::Replayed`] and changes nothing.
    pub idempotency: Option<Idempotency>,
    /// An operation's row.
    pub operation: Option<OperationWrite>,
    /// Rows, in any order: the writer applies them in an order in which keys exist before they are pointed to.
    pub changes: Vec<Change>,
    /// A decision.
    pub decision: Option<Box<Decision>>,
    /// Events.
    pub events: Vec<NewEvent>,
}

/// A commit that went through.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Committed {
    /// It is durable.
    Done,
    /// The idempotency key was known with the same request: this was answered then.
    Replayed(StoredAnswer),
}

impl OperationWrite {
    /// The operation's state after this write.
    #[must_use]
    pub fn state(&self) -> OperationState {
        match self {
            Self::Insert { operation, .. } | Self::Update(operation) => operation.state,
        }
    }
}
