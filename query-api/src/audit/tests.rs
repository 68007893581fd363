//! The cost of a page of the audit trail: the plans of both databases. How much a follower of it reads at once.

use database::{Database, StatementTimeout};
use events::{Actor, Timestamp, TokenId, UserId};
use uuid::Uuid;

use super::{AuditCursor, AuditFilter, read_on};
use crate::{
    tasks::explain_sql,
    testing::{audit, on_postgres, on_sqlite, task},
};

const ME: UserId = UserId(Uuid::from_u128(7));
const PROGRAM: Actor = Actor::Program { user: ME, token: TokenId(Uuid::from_u128(8)) };

/// Each filter, and the index that it reads.
fn filters() -> Vec<(AuditFilter, &'static str)> {
    let all = AuditFilter::default();
    vec![
        (all.clone(), "audit_log_by_time"),
        (AuditFilter { subject: Some(ME), ..all.clone() }, "audit_log_by_subject"),
        (AuditFilter { actor: Some(Actor::Operator), ..all.clone() }, "audit_log_by_person"),
        (AuditFilter { actor: Some(Actor::User(ME)), ..all.clone() }, "audit_log_by_person"),
        (AuditFilter { actor: Some(PROGRAM), ..all.clone() }, "audit_log_by_actor"),
        (AuditFilter { kind: Some("account.disabled".to_owned()), ..all.clone() }, "audit_log_by_type"),
        (AuditFilter { stream: Some("task-7".to_owned()), ..all.clone() }, "audit_log_by_stream"),
        (AuditFilter { correlation_id: Some("request-7".to_owned()), ..all }, "audit_log_by_correlation_id"),
    ]
}

/// Every filter alone, between two times, and after a place.
fn pages() -> Vec<(String, Vec<database::Value>, &'static str)> {
    let mut pages = Vec::new();
    for (filter, index) in filters() {
        let between = AuditFilter {
            from: Some(Timestamp::from_micros(1_000)),
            to: Some(Timestamp::from_micros(40_000)),
            ..filter.clone()
        };
        let place = AuditCursor { recorded_at: 30_000, position: 30_000 };
        for (sql, values) in [
            filter.page(None, 51),
            filter.page(Some(place), 51),
            between.page(None, 51),
            between.page(Some(place), 51),
        ] {
            pages.push((sql, values, index));
        }
    }
    // What a person did in a request, whatever others did in requests of the same id.
    let own = AuditFilter {
        subject: Some(ME),
        correlation_id: Some("of-many".to_owned()),
        ..AuditFilter::default()
    };
    let (sql, values) = own.page(None, 51);
    pages.push((sql, values, "audit_log_by_request"));
    pages
}

#[tokio::test]
async fn a_page_of_the_audit_trail_is_one_index_range_on_postgres() {
    on_postgres(async |database| {
        let patient = database.with_statement_timeout(StatementTimeout::Maintenance);
        let sql = "
            INSERT INTO audit_log (position, stream, version, event_id, type, subject, actor, correlation_id,
                                   causation_id, recorded_at)
            SELECT n, 'task-' || n % 97, n, gen_random_uuid(),
                   CASE WHEN n % 83 = 7 THEN 'account.disabled' ELSE 'task.created' END,
                   CASE WHEN n % 101 = 7 THEN $1 ELSE gen_random_uuid() END,
                   CASE WHEN n % 89 = 7 THEN 'operator' WHEN n % 101 = 8 THEN $2 WHEN n % 101 IN (9, 10) THEN $3
                        ELSE md5(n::text) END,
                   CASE WHEN n % 5 = 2 THEN 'of-many' ELSE 'request-' || n % 103 END, gen_random_uuid(), n
            FROM generate_series(1::bigint, 50000) AS n";
        let values = [ME.0.into(), ME.to_string().into(), PROGRAM.to_string().into()];
        patient.execute(sql, &values).await.unwrap();
        patient.execute("VACUUM ANALYZE audit_log", &[]).await.unwrap();
        for (sql, values, index) in pages() {
            let done = explain_sql(&database, &sql, &values).await;
            let mut indexes: Vec<_> = done.nodes.iter().filter_map(|(_, name)| name.clone()).collect();
            indexes.retain(|name| !name.starts_with("unfinished_erasures"));
            assert_eq!(indexes, [index], "{sql}: {}", done.plan);
            assert_eq!(done.rows, 51, "{sql}");
            assert_eq!(done.removed, 0, "{sql}: rows were read in vain");
            assert!(done.nodes.iter().all(|(node, _)| !node.contains("Sort")), "{sql}");
            assert!(done.pages <= done.rows + 12, "{sql}: {} pages", done.pages);
        }
    })
    .await;
}

#[tokio::test]
async fn a_page_of_the_audit_trail_is_one_index_range_on_sqlite() {
    on_sqlite(async |database| {
        for analyzed in [false, true] {
            if analyzed {
                database.execute("ANALYZE", &[]).await.unwrap();
            }
            for (sql, values, index) in pages() {
                let explain = format!("EXPLAIN QUERY PLAN {sql}");
                let rows = database.fetch_all(&explain, &values).await.unwrap();
                let mut plan: Vec<_> = rows.iter().map(|row| row.text("detail").unwrap()).collect();
                plan.retain(|step| !step.contains("unfinished_erasures") && !step.contains("SUBQUERY"));
                assert_eq!(plan.len(), 1, "{sql}: {plan:?}");
                assert!(plan[0].contains(&format!("USING INDEX {index}")), "{sql}: {plan:?}");
            }
        }
    })
    .await;
}

#[tokio::test]
async fn a_follower_reads_a_number_of_entries_at_once_on_postgres() {
    on_postgres(is_followed_by_entries).await;
}

#[tokio::test]
async fn a_follower_reads_a_number_of_entries_at_once_on_sqlite() {
    on_sqlite(is_followed_by_entries).await;
}

/// The positions are far apart, as in a log whose positions count bytes.
async fn is_followed_by_entries(database: Database) {
    audit(&database, &task(ME, "Task"), 1).await;
    let more = "
        WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < 10001)
        INSERT INTO audit_log (position, stream, version, event_id, type, subject, actor, correlation_id,
                               causation_id, recorded_at)
        SELECT 1000 * n, stream, version, event_id, type, subject, actor, correlation_id, causation_id, recorded_at
        FROM numbers, audit_log";
    assert_eq!(database.execute(more, &[]).await.unwrap(), 10_001);
    let end = 1 << 40;
    let (mut after, mut pages) = (0, Vec::new());
    while after < end {
        let (entries, reached) = read_on(&database, &AuditFilter::default(), after, end).await.unwrap();
        pages.push((entries.len(), entries.last().map(|entry| entry.position)));
        after = reached;
    }
    assert_eq!(pages, [(10_000, Some(9_999_000)), (2, Some(10_001_000))]);
}
