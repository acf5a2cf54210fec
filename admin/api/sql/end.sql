-- For whoever serves the API, and nobody else.
REVOKE ALL ON ALL FUNCTIONS IN SCHEMA bulkhead_api FROM PUBLIC;
GRANT USAGE ON SCHEMA bulkhead_api TO bulkhead_admin;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA bulkhead_api TO bulkhead_admin;
