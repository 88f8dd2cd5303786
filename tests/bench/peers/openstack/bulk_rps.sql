-- psql -v n=4999 -f bulk_rps.sql placement: adds n compute hosts straight to Placement's tables, with the inventories, aggregate and
-- trait of the one that `placement_load.py populate 1` made.
INSERT INTO resource_providers (created_at, updated_at, uuid, name, generation)
  SELECT now(), now(), gen_random_uuid()::text, 'bulk-' || gen_random_uuid(), 3 FROM generate_series(1, :n);
UPDATE resource_providers SET root_provider_id = id WHERE root_provider_id IS NULL;
INSERT INTO inventories (created_at, updated_at, resource_provider_id, resource_class_id, total, reserved, min_unit, max_unit,
    step_size, allocation_ratio)
  SELECT now(), now(), p.id, i.resource_class_id, i.total, 0, 1, i.total, 1, 1.0
  FROM resource_providers p, (SELECT resource_class_id, total FROM inventories
    WHERE resource_provider_id = (SELECT min(resource_provider_id) FROM inventories)) i
  WHERE NOT EXISTS (SELECT 1 FROM inventories x WHERE x.resource_provider_id = p.id);
INSERT INTO resource_provider_aggregates (created_at, updated_at, resource_provider_id, aggregate_id)
  SELECT now(), now(), p.id, (SELECT min(id) FROM placement_aggregates) FROM resource_providers p ON CONFLICT DO NOTHING;
INSERT INTO resource_provider_traits (created_at, updated_at, resource_provider_id, trait_id)
  SELECT now(), now(), p.id, (SELECT min(trait_id) FROM resource_provider_traits) FROM resource_providers p
  ON CONFLICT DO NOTHING;
