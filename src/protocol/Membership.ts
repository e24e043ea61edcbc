/**
 * A node's membership role as calls and records on disk have it. They keep the literals of format 1, so that older
 * nodes, clients and data directories are understood: the field `standing`, and `newcomer` for a role that is unknown.
 */
import { Schema, SchemaTransformation } from "effect"

/** The field of calls and records that holds a membership role. */
export const membershipField = "standing"

const NonVoterLiteral = Schema.Literals(["newcomer", "learner"])
const Literal = Schema.Literals(["newcomer", "learner", "voter"])

const roleOf = <Rest extends string>(literal: "newcomer" | Rest): "unknown" | Rest =>
  literal === "newcomer" ? "unknown" : literal

/** The literal of a role. */
export const literalOf = <Rest extends string>(role: "unknown" | Rest): "newcomer" | Rest =>
  role === "unknown" ? "newcomer" : role

/** The role of a node that does not vote. */
export const NonVoterRole = NonVoterLiteral.pipe(
  Schema.decodeTo(
    Schema.Literals(["unknown", "learner"]),
    SchemaTransformation.transform({ decode: roleOf<"learner">, encode: literalOf<"learner"> })
  )
)

/** The role of any node. */
export const MembershipRole = Literal.pipe(
  Schema.decodeTo(
    Schema.Literals(["unknown", "learner", "voter"]),
    SchemaTransformation.transform({
      decode: roleOf<"learner" | "voter">,
      encode: literalOf<"learner" | "voter">
    })
  )
)
