-- Partitions are made by a function that acts with its owner's rights, so that the sink's role need not own a table.
--
-- It makes a partition of a table of its own schema and nothing else. A partition is made as a table of its own and then
-- attached, which, unlike CREATE TABLE … PARTITION OF, neither waits for readers of the table nor holds them up.

CREATE FUNCTION make_month(parent text, month date) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER
AS $$
DECLARE
    home text := current_schema();
    partition text := parent || to_char(month, '"_"YYYY"_"MM');
    midnight CONSTANT text := 'YYYY-MM-DD "00:00:00+00"';
BEGIN
    IF extract(day FROM month) <> 1 THEN
        RAISE EXCEPTION 'no month begins at %', month USING ERRCODE = 'invalid_parameter_value';
    END IF;
    IF NOT EXISTS (
        SELECT FROM pg_catalog.pg_class
        WHERE relnamespace = home::regnamespace AND relname = parent AND relkind = 'p'
    ) THEN
        RAISE EXCEPTION 'relation "%" does not exist, or has no partitions', parent USING ERRCODE = 'undefined_table';
    END IF;
    -- One maker at a time.
    PERFORM pg_advisory_xact_lock(499850962226);
    IF EXISTS (
        SELECT FROM pg_catalog.pg_inherits
        WHERE inhrelid = to_regclass(format('%I.%I', home, partition))
            AND inhparent = to_regclass(format('%I.%I', home, parent))
    ) THEN
        RETURN;
    END IF;
    IF to_regclass(format('%I.%I', home, partition)) IS NOT NULL THEN
        RAISE EXCEPTION 'table % is no partition of %: attach it, rename it or drop it', partition, parent
            USING ERRCODE = 'object_not_in_prerequisite_state';
    END IF;
    EXECUTE format(
        'CREATE TABLE %1$I.%2$I (LIKE %1$I.%3$I INCLUDING DEFAULTS INCLUDING CONSTRAINTS INCLUDING GENERATED)',
        home, partition, parent
    );
    EXECUTE format(
        'ALTER TABLE %1$I.%3$I ATTACH PARTITION %1$I.%2$I FOR VALUES FROM (%4$L) TO (%5$L)',
        home, partition, parent, to_char(month, midnight), to_char(month + interval '1 month', midnight)
    );
END
$$;

REVOKE ALL ON FUNCTION make_month(text, date) FROM PUBLIC;

-- Names are looked up where the tables are, and never in what a caller has put into its temporary schema.
DO $$
BEGIN
    EXECUTE format('ALTER FUNCTION make_month(text, date) SET search_path = %I, pg_temp', current_schema());
END
$$;
