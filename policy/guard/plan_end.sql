-- The plan's rows: what to do ('protect', 'done', 'skip', 'later'), the table, why, and the statement.
SELECT CASE WHEN j.obstacle IS NOT NULL THEN 'skip' WHEN j.is_done THEN 'done' ELSE 'protect' END AS step, j.name,
       coalesce(j.obstacle, '') AS why,
       CASE WHEN j.obstacle IS NULL AND NOT j.is_done
            THEN format('SELECT bulkhead.protect(%L, %L%s);', j.name, $2::text, CASE j.by WHEN 'key' THEN ', by => ''key''' END)
            ELSE '' END AS statement
  FROM judged AS j
UNION ALL
SELECT 'later', l.id || ': ' || l.object, l.why, l.mend FROM later AS l
 ORDER BY 1 DESC, 2, 4
