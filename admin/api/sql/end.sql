-- For whoever serves the API, and nobody else.
REVOKE ALL ON ALL FUNCTIONS IN SCHEMA bulkhead_api FROM PUBLIC;
GRANT USAGE ON SCHEMA bulkhead_api TO bulkhead_admin;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA bulkhead_api TO bulkhead_admin;
GRANT EXECUTE ON FUNCTION bulkhead_control.path_ids(ltree) TO bulkhead_admin;
-- To take turns with those who change the tree.
GRANT UPDATE ON bulkhead_control.tree_lock TO bulkhead_admin;
