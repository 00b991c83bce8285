//! What the proof of keys must find through joins, and what it must never claim.

use super::*;

/// Carts that have at most one for each user, and users who are told by more than their ids.
const CARTS: &str = "
table shop.tiers
 id int
 code varchar(9)
 pk id
 unique by_code code
table shop.users
 id bigint unsigned
 email varchar(90)
 alias varchar(90) null
 tenant int
 name varchar(90)
 badge binary(16)
 score double
 tier int
 pk id
 unique by_email email
 unique by_alias alias
 unique by_name tenant,name
 unique by_badge badge
 unique by_score score
 unique by_tier tier
table shop.carts
 id bigint
 user_id bigint unsigned
 tenant int
 pk id
 unique by_user user_id
table shop.lines
 cart_id bigint
 line int
 pk cart_id,line
";

fn attribute(name: &str, rest: &str) -> String {
    format!(r#"{{"name": "{name}", "type": "S", {rest}}}"#)
}

/// An attribute that is a column of the one row of `target`.
fn joined(name: &str, target: &str, condition: &str, select: &str) -> String {
    let join = r#""join": {"type": "foreign-key", "target_table": "TARGET", "join_condition": "CONDITION", "select_column": "SELECT"}"#;
    let join = join.replace("TARGET", target);
    attribute(
        name,
        &join
            .replace("CONDITION", condition)
            .replace("SELECT", select),
    )
}

/// A column of the cart's user.
fn of_user(select: &str) -> String {
    joined("x", "users", "users.id = carts.user_id", select)
}

/// A column of the last of some rows.
fn chained(hops: &[(&str, &str)], select: &str) -> String {
    let hop = |(target, condition): &(&str, &str)| {
        format!(r#"{{"target_table": "{target}", "join_condition": "{condition}"}}"#)
    };
    let hops: Vec<String> = hops.iter().map(hop).collect();
    let hops = hops.join(", ");
    let hops = hops.strip_suffix('}').expect("a hop");
    attribute(
        "x",
        &format!(
            r#""join": {{"type": "chain", "joins": [{hops}, "select_column": "{select}"}}]}}"#
        ),
    )
}

/// What is said of the key `sk` of rows of `table`.
fn verdict(catalog: &str, table: &str, template: &str, attributes: &[String]) -> Uniqueness {
    let catalog = fixture::catalog(catalog);
    let attributes = attributes.join(", ");
    let text = format!(
        r#"{{"tables": [{{"table": "App", "type": "multi-entity", "pk": "PK", "sk": "SK", "entities": [
            {{"entity_type": "E", "source_table": "{table}", "pk_template": "T", "sk_template": "{template}", "attributes": [{attributes}]}}]}}]}}"#
    );
    let (plan, _) = compiled(&text, Some(&catalog));
    plan.projections[0].uniqueness.clone()
}

#[track_caller]
fn tells(catalog: &str, table: &str, template: &str, attributes: &[String], why: &str) {
    let said = verdict(catalog, table, template, attributes);
    assert_eq!(said, Uniqueness::Proved(why.into()));
}

#[track_caller]
fn does_not_tell(catalog: &str, table: &str, template: &str, attributes: &[String], why: &str) {
    match verdict(catalog, table, template, attributes) {
        Uniqueness::Unproved(said) => assert!(said.contains(why), "{said}"),
        Uniqueness::Proved(said) => panic!("{said}"),
    }
}

#[test]
fn a_unique_column_of_a_joined_row_tells_the_row_that_joins_it() {
    let by_user = "which gives `user_id`, the unique key `by_user` of shop.carts";
    let by_email =
        format!("its text gives back `email` of shop.users (the unique key `by_email`), {by_user}");
    let email = || of_user("users.email");
    tells(CARTS, "carts", "{x}", &[email()], &by_email);
    tells(CARTS, "carts", "U#{x}#", &[email()], &by_email);
    // Of two integers the sign and the width are no matter.
    for ty in ["int", "bigint", "int unsigned", "int zerofill=9"] {
        let other = CARTS.replace("user_id bigint unsigned", &format!("user_id {ty}"));
        tells(&other, "carts", "{x}", &[email()], &by_email);
    }
    // What the condition itself equates needs no row.
    let why = "its text gives back `id` of shop.users (which equals `user_id`), the unique key `by_user` of shop.carts";
    tells(CARTS, "carts", "{x}", &[of_user("users.id")], why);
    // Bytes as hexadecimal digits.
    let hex = |select: &str| {
        let format =
            r#""type": "S", "transformation": {"type": "binary-format", "format": "hex"},"#;
        of_user(select).replace("\"type\": \"S\",", format)
    };
    let badge = hex("users.badge");
    let why =
        format!("its text gives back `badge` of shop.users (the unique key `by_badge`), {by_user}");
    tells(CARTS, "carts", "{x}", &[badge], &why);
    for select in ["users.score", "users.email"] {
        does_not_tell(CARTS, "carts", "{x}", &[hex(select)], "no binary column");
    }
}

#[test]
fn a_unique_key_may_be_told_in_parts() {
    // A part of the driving row's own, a part of the joined row.
    let catalog = CARTS.replace("by_user user_id", "by_user tenant,user_id");
    let email = of_user("users.email");
    let why = "its text gives back `tenant`, and `email` of shop.users (the unique key `by_email`), which gives `user_id`, the unique key `by_user` of shop.carts";
    tells(
        &catalog,
        "carts",
        "{tenant}#{x}",
        std::slice::from_ref(&email),
        why,
    );
    does_not_tell(
        &catalog,
        "carts",
        "{x}",
        std::slice::from_ref(&email),
        "`by_user`",
    );
    // Of the joined row's key a part in the text, and a part that is equal to what the text holds.
    let name = joined(
        "x",
        "users",
        "users.tenant = carts.tenant AND users.id = carts.user_id",
        "users.name",
    );
    let why = "its text gives back `tenant` (which equals `tenant` of shop.users), `name` of shop.users (the unique key `by_name`), which gives `user_id`, the unique key `by_user` of shop.carts";
    tells(
        CARTS,
        "carts",
        "{tenant}#{x}",
        std::slice::from_ref(&name),
        why,
    );
    does_not_tell(CARTS, "carts", "{x}", &[name], "`name` of shop.users");
    // Two attributes, one row.
    let parts = [
        of_user("users.tenant").replace("\"x\"", "\"y\""),
        of_user("users.name"),
    ];
    let why = "its text gives back `tenant` of shop.users, `name` of shop.users (the unique key `by_name`), which gives `user_id`, the unique key `by_user` of shop.carts";
    tells(CARTS, "carts", "{y}#{x}", &parts, why);
    // Two attributes, two rows: a tenant of one and a name of another tell neither.
    let other = joined("y", "users", "users.id = carts.id", "users.tenant");
    let parts = [other, of_user("users.name")];
    does_not_tell(CARTS, "carts", "{y}#{x}", &parts, "`name` of shop.users");
}

#[test]
fn chains_are_followed_up_to_the_driving_row() {
    let hops = [
        ("carts", "carts.id = lines.cart_id"),
        ("users", "users.id = carts.user_id"),
        ("tiers", "tiers.id = users.tier"),
    ];
    let line = CARTS.replace("pk cart_id,line", "pk line\n unique by_cart cart_id");
    let two = chained(&hops[..2], "users.email");
    let why = "its text gives back `email` of shop.users (the unique key `by_email`), which gives `user_id` of shop.carts (the unique key `by_user`), which gives `cart_id`, the unique key `by_cart` of shop.lines";
    tells(&line, "lines", "{x}", std::slice::from_ref(&two), why);
    // With a part of the key that no join gives.
    let why = "its text gives back `line`, and `email` of shop.users (the unique key `by_email`), which gives `user_id` of shop.carts (the unique key `by_user`), which gives `cart_id`, the primary key of shop.lines";
    tells(
        CARTS,
        "lines",
        "{x}#{line}",
        std::slice::from_ref(&two),
        why,
    );
    does_not_tell(CARTS, "lines", "{x}", &[two], "the primary key");
    let three = chained(&hops, "tiers.code");
    let why = "its text gives back `code` of shop.tiers (the unique key `by_code`), which gives `tier` of shop.users (the unique key `by_tier`), which gives `user_id` of shop.carts (the unique key `by_user`), which gives `cart_id`, the unique key `by_cart` of shop.lines";
    tells(&line, "lines", "{x}", std::slice::from_ref(&three), why);
    // One link that does not tell breaks the chain.
    for unique in [
        "unique by_code code",
        "unique by_tier tier",
        "unique by_user user_id",
        "unique by_cart cart_id",
    ] {
        let broken = line.replace(unique, "");
        assert_ne!(broken, line);
        does_not_tell(&broken, "lines", "{x}", std::slice::from_ref(&three), "");
    }
    // Two columns of one row at the end, or of two that are joined by the same words from two rows.
    let end = |name: &str, cart: &str, select: &str| {
        let first = format!("carts.id = lines.{cart}");
        let hops = [("carts", &*first), ("users", "users.id = carts.user_id")];
        chained(&hops, select).replace("\"x\"", &format!("\"{name}\""))
    };
    let name = end("x", "cart_id", "users.name");
    let why = "its text gives back `tenant` of shop.users, `name` of shop.users (the unique key `by_name`), which gives `user_id` of shop.carts (the unique key `by_user`), which gives `cart_id`, the unique key `by_cart` of shop.lines";
    let one = [end("y", "cart_id", "users.tenant"), name.clone()];
    tells(&line, "lines", "{y}#{x}", &one, why);
    let two = [end("y", "line", "users.tenant"), name];
    does_not_tell(&line, "lines", "{y}#{x}", &two, "");
    // An earlier hop's column, or the driving row's own, in the words of a later one.
    let earlier = chained(&hops[..2], "carts.user_id");
    let why = "its text gives back `user_id` of shop.carts (the unique key `by_user`), which gives `cart_id`, the unique key `by_cart` of shop.lines";
    tells(&line, "lines", "{x}", &[earlier], why);
    let own = chained(&hops[..1], "lines.line");
    tells(
        &line,
        "lines",
        "{x}",
        &[own],
        "its text gives back `line`, the primary key of shop.lines",
    );
    // Joined by a separator the parts cannot be told from each other.
    let one = chained(&hops[..1], "carts.user_id");
    tells(
        &line,
        "lines",
        "{x}",
        std::slice::from_ref(&one),
        "its text gives back `user_id` of shop.carts (the unique key `by_user`), which gives `cart_id`, the unique key `by_cart` of shop.lines",
    );
    let joined = one.replace("]}", r#"], "chain_separator": " > "}"#);
    assert_ne!(joined, one);
    does_not_tell(&line, "lines", "{x}", &[joined], "from other rows");
}

#[test]
fn a_row_of_the_same_table_is_another_row() {
    let staff = "table shop.staff\n id int\n email varchar(90)\n boss int\n pk id\n unique by_email email\n unique by_boss boss";
    let own = |select: &str| {
        let rest = r#""join": {"type": "self-join", "join_alias": "b", "join_condition": "b.id = staff.boss", "select_column": "SELECT"}"#;
        attribute("x", &rest.replace("SELECT", select))
    };
    let email = own("b.email");
    let why = "its text gives back `email` of the joined shop.staff (the unique key `by_email`), which gives `boss`, the unique key `by_boss` of shop.staff";
    tells(staff, "staff", "{x}", std::slice::from_ref(&email), why);
    // Of several who have one boss the key is the same.
    let several = staff.replace("unique by_boss boss", "");
    does_not_tell(
        &several,
        "staff",
        "{x}",
        std::slice::from_ref(&email),
        "`email` of the joined shop.staff",
    );
    tells(
        &several,
        "staff",
        "{x}",
        &[own("staff.email")],
        "its text gives back `email`, the unique key `by_email` of shop.staff",
    );
    for more in [r#", "null_value": "none""#, r#", "null_value": 1"#] {
        let other = email.replace("\"b.email\"", &format!("\"b.email\"{more}"));
        assert_ne!(other, email);
        does_not_tell(staff, "staff", "{x}", &[other], "from other rows");
    }
}

/// Which of several rows is joined, and which are not, is no matter: the row that is joined is one for which the
/// conditions hold.
#[test]
fn further_conditions_and_further_rows_take_nothing_from_a_proof() {
    let why = "its text gives back `email` of shop.users (the unique key `by_email`), which gives `user_id`, the unique key `by_user` of shop.carts";
    for condition in [
        "carts.user_id = users.id AND users.score > 3",
        "(carts.user_id = users.id) AND (users.score > 3 OR users.tenant = carts.tenant)",
        "(carts.user_id) = (users.id) AND users.tenant <> carts.tenant",
    ] {
        let email = joined("x", "users", condition, "users.email");
        tells(CARTS, "carts", "{x}", &[email], why);
    }
    // The lowest row of those that have the tier, told by its e-mail: it has one tier.
    let catalog = CARTS
        .replace("unique by_tier tier", "")
        .replace("by_user user_id", "by_tenant tenant");
    let first = joined(
        "x",
        "users",
        "users.tier = carts.tenant AND users.id > 1",
        "users.email",
    );
    let why = "its text gives back `email` of shop.users (the unique key `by_email`), which gives `tenant`, the unique key `by_tenant` of shop.carts";
    tells(&catalog, "carts", "{x}", &[first], why);
    // Only what holds for certain: one of two does not.
    for condition in [
        "carts.tenant = users.tenant AND (carts.user_id = users.id OR users.score > 3)",
        "carts.tenant = users.tenant AND NOT carts.user_id <> users.id",
        "carts.tenant = users.tenant AND carts.user_id <=> users.id",
        "carts.tenant = users.tenant AND carts.user_id >= users.id",
        "carts.tenant = users.tenant AND carts.user_id IN (users.id)",
    ] {
        let email = joined("x", "users", condition, "users.email");
        does_not_tell(CARTS, "carts", "{x}", &[email], "`email` of shop.users");
    }
}

#[test]
fn a_joined_row_that_is_not_told_tells_nothing() {
    // No unique key, one that allows NULL, one of several columns of which the text holds one, one whose text is rounded.
    for (select, why) in [
        ("users.tier", "`tier` of shop.users"),
        ("users.alias", "`alias` of shop.users"),
        ("users.name", "`name` of shop.users"),
        ("users.score", "rounded"),
    ] {
        let catalog = CARTS.replace("unique by_tier tier", "");
        does_not_tell(&catalog, "carts", "{x}", &[of_user(select)], why);
    }
    // The driving row's unique key allows NULL, or there is none.
    let nullable = CARTS.replace("user_id bigint unsigned", "user_id bigint unsigned null");
    let none = CARTS.replace("unique by_user user_id", "");
    for catalog in [nullable, none] {
        let why = "it holds only `email` of shop.users, which gives `user_id`, which does not cover the primary key (`id`) of shop.carts";
        does_not_tell(&catalog, "carts", "{x}", &[of_user("users.email")], why);
    }
}

#[test]
fn only_the_bare_column_of_the_row_counts() {
    for select in [
        "UPPER(users.email)",
        "COALESCE(users.email, 'none')",
        "IFNULL(users.email, users.name)",
        "CASE WHEN users.score > 1 THEN users.email END",
        "CONCAT(users.email)",
        "users.id + 0",
        "'users.email'",
    ] {
        does_not_tell(CARTS, "carts", "{x}", &[of_user(select)], "");
    }
    let rest = r#""join": {"type": "conditional", "condition": "carts.tenant > 1", "target_table": "users", "join_condition": "users.id = carts.user_id", "select_column": "users.email"ELSE}"#;
    for otherwise in [
        "",
        r#", "else_value": "nobody""#,
        r#", "else_value": "carts.id""#,
    ] {
        let conditional = attribute("x", &rest.replace("ELSE", otherwise));
        does_not_tell(CARTS, "carts", "{x}", &[conditional], "from other rows");
    }
    let object = r#""join": {"type": "json-construction", "target_table": "users", "join_condition": "users.id = carts.user_id", "construction": {"type": "object", "select_columns": {"email": "users.email"}}}"#;
    does_not_tell(CARTS, "carts", "{x}", &[attribute("x", object)], "");
    let highest = r#""calculation": {"type": "aggregate", "operation": "MAX", "target_table": "users", "join_condition": "users.id = carts.user_id", "select_column": "users.email"}"#;
    does_not_tell(CARTS, "carts", "{x}", &[attribute("x", highest)], "");
}

/// What is equal under one comparison need not be so under that of the unique key.
#[test]
fn equality_counts_where_both_columns_compare_alike() {
    let pair = |own: &str, other: &str| {
        let catalog = format!(
            "table shop.a\n id int\n code {own}\n pk id\n unique by_code code\ntable shop.b\n id int\n code {other}\n pk id"
        );
        let id = joined("x", "b", "b.code = a.code", "b.id");
        let said = verdict(&catalog, "a", "{x}", &[id]);
        matches!(said, Uniqueness::Proved(_))
    };
    let text = |collation: &str| format!("varchar(9) collate={collation}");
    let alike = [
        ("int", "bigint unsigned"),
        ("tinyint", "int"),
        ("decimal(9,2)", "decimal(12,4)"),
        ("date", "date"),
        ("datetime(3)", "datetime"),
        ("timestamp", "timestamp(6)"),
        ("time", "time(3)"),
        ("year", "year"),
        ("bit(9)", "bit(12)"),
        ("binary(4)", "varbinary(9)"),
        ("varchar(9)", "varchar(20)"),
        ("char(9)", "varchar(9)"),
    ];
    for (own, other) in alike {
        assert!(pair(own, other), "{own} = {other}");
    }
    for collation in ["utf8mb4_bin", "utf8mb4_0900_ai_ci", "latin1_swedish_ci"] {
        assert!(pair(&text(collation), &text(collation)), "{collation}");
    }
    let (bin, ci) = (text("utf8mb4_bin"), text("utf8mb4_0900_ai_ci"));
    let other_ci = text("latin1_swedish_ci");
    let unlike = [
        // `Anna` and `anna` are two rows above, and equal the same row.
        (&*bin, &*ci),
        (&*ci, &*bin),
        (&*bin, &*other_ci),
        (&*ci, &*other_ci),
        ("varchar(9)", "int"),
        ("varchar(9)", "enum('x','y')"),
        ("enum('x','y')", "enum('x','y')"),
        ("enum('x','y')", "int"),
        ("set('x','y')", "set('x','y')"),
        ("int", "double"),
        ("double", "double"),
        ("float", "float"),
        ("decimal(9,2)", "float"),
        ("int", "decimal(9,2)"),
        ("int", "varchar(9)"),
        ("date", "datetime"),
        ("datetime", "timestamp"),
        ("int", "year"),
        ("int", "bit(9)"),
    ];
    for (own, other) in unlike {
        assert!(!pair(own, other), "{own} = {other}");
    }
    for condition in [
        "UPPER(b.code) = a.code",
        "b.code = UPPER(a.code)",
        "b.code + 0 = a.code",
    ] {
        let catalog = "table shop.a\n code int\n pk code\ntable shop.b\n id int\n code int\n pk id";
        let id = joined("x", "b", condition, "b.id");
        does_not_tell(catalog, "a", "{x}", &[id], "`id` of shop.b");
    }
}

#[test]
fn joined_texts_are_cut_by_the_same_rules() {
    let catalog = CARTS.replace("by_user user_id", "by_user tenant,user_id");
    let email = of_user("users.email");
    let number = of_user("users.id");
    let cases = [
        ("{tenant}#{x}", &email, true),
        ("{x}#{tenant}", &email, true),
        ("{x}{tenant}", &email, false),
        ("{x}1{tenant}", &email, false),
        ("{tenant}{x}", &number, false),
        ("{tenant}-{x}", &number, true),
        ("{tenant}1{x}", &number, false),
        ("{x}-{tenant}", &number, true),
        ("{x}{tenant}", &number, false),
    ];
    for (template, attribute, proved) in cases {
        let said = verdict(&catalog, "carts", template, std::slice::from_ref(attribute));
        let is = matches!(said, Uniqueness::Proved(_));
        assert_eq!(is, proved, "{template} {attribute}: {said:?}");
    }
    // Two free texts, one of them joined.
    let catalog = CARTS.replace(
        "tenant int\n pk id\n unique by_user",
        "shop varchar(9)\n pk id\n unique by_user",
    );
    for (template, proved) in [("{x}", true), ("{shop}#{x}", false), ("{x}#{shop}", false)] {
        let said = verdict(&catalog, "carts", template, std::slice::from_ref(&email));
        assert_eq!(matches!(said, Uniqueness::Proved(_)), proved, "{template}");
    }
    // As a DynamoDB number text is not told.
    let text = |ty: &str, select: &str| {
        let attribute =
            of_user(select).replace("\"type\": \"S\",", &format!("\"type\": \"{ty}\","));
        let text = format!(
            r#"{{"tables": [{{"table": "App", "type": "single-entity", "source_table": "carts", "pk": "x", "attributes": [{attribute}]}}]}}"#
        );
        let (plan, _) = compiled(&text, Some(&fixture::catalog(CARTS)));
        matches!(plan.projections[0].uniqueness, Uniqueness::Proved(_))
    };
    assert!(text("N", "users.id") && text("S", "users.email") && text("B", "users.badge"));
    assert!(!text("N", "users.email"));
}

#[test]
fn entities_with_joined_keys_that_can_meet_are_found() {
    let catalog = fixture::catalog(CARTS);
    let meets = |first: (&str, &str), second: (&str, &str)| {
        let entity = |name: &str, (template, select): (&str, &str)| {
            format!(
                r#"{{"entity_type": "{name}", "source_table": "carts", "pk_template": "{template}", "sk_template": "X", "attributes": [{}]}}"#,
                of_user(select)
            )
        };
        let text = format!(
            r#"{{"tables": [{{"table": "App", "type": "multi-entity", "pk": "PK", "sk": "SK", "entities": [{}, {}]}}]}}"#,
            entity("A", first),
            entity("B", second)
        );
        let (plan, _) = compiled(&text, Some(&catalog));
        let met = |p: &Projection| matches!(p.uniqueness, Uniqueness::Unproved(_));
        let all = plan.projections.iter().all(met);
        assert_eq!(all, plan.projections.iter().any(met));
        all
    };
    let (email, id) = ("users.email", "users.id");
    assert!(!meets(("A#{x}", email), ("B#{x}", email)));
    assert!(!meets(("A#{x}", id), ("A#x{x}", email)));
    assert!(!meets(("{x}#A", id), ("{x}#B", email)));
    assert!(meets(("{x}", id), ("{x}", email)));
    assert!(meets(("A#{x}", email), ("A#{x}", email)));
    assert!(meets(("A#{x}", id), ("A#{x}", id)));
    assert!(meets(("A#{x}", id), ("A{x}", email)));
}

#[test]
fn offline_nothing_is_proved_of_joined_rows() {
    let text = format!(
        r#"{{"tables": [{{"table": "App", "type": "single-entity", "source_table": "carts", "pk": "x", "attributes": [{}]}}]}}"#,
        of_user("users.email")
    );
    let (plan, _) = compiled(&text, None);
    let said = &plan.projections[0].uniqueness;
    assert!(matches!(said, Uniqueness::Unproved(why) if why.contains("offline")));
}

/// A state that is put right can hold two rows with one unique key, but for the key by which it keeps them.
#[test]
fn owners_are_kept_unless_the_keys_of_the_state_alone_prove_it() {
    const TABLES: &str = "
table shop.kinds
 kind set('a','b')
 n int
 id int
 pk kind,n
 unique by_id id
table shop.users
 id int
 email varchar(90)
 pk id
 unique by_email email
table shop.profiles
 user_id int
 pk user_id
";
    let catalog = fixture::catalog(TABLES);
    let claimed = |table: &str, template: &str, attributes: &str| {
        let text = format!(
            r#"{{"tables": [{{"table": "App", "type": "multi-entity", "pk": "PK", "sk": "SK", "entities": [
            {{"entity_type": "E", "source_table": "{table}", "pk_template": "T", "sk_template": "{template}", "attributes": [{attributes}]}}]}}]}}"#
        );
        let (plan, _) = compiled(&text, Some(&catalog));
        let projection = &plan.projections[0];
        assert!(
            matches!(projection.uniqueness, Uniqueness::Proved(_)),
            "{:?}",
            projection.uniqueness
        );
        projection.claimed
    };
    let user = |select: &str| joined("x", "users", "users.id = profiles.user_id", select);
    assert!(!claimed("profiles", "{user_id}", ""));
    assert!(!claimed("profiles", "{x}", &user("users.id")));
    assert!(claimed("profiles", "{x}", &user("users.email")));
    assert!(!claimed("users", "{id}", "") && claimed("users", "{email}", ""));
    // The state keeps these rows by their other key.
    assert!(claimed("kinds", "{kind}#{n}", "") && !claimed("kinds", "{id}", ""));
}
