/** What the API answers and takes, as JSON: one schema each, for the server, the document and typed clients. */
import { Schema } from "effect"
import { compareFigures, compareOperators } from "../../kv/model/Transaction.ts"
import { Encoding, Entry, Key } from "./Entries.ts"

/** Only there in the answer to a request that was sent again under its id: it was carried out before. */
const replayed = { replayed: Schema.optionalKey(Schema.Literal(true)) }

/** What a put did. `created` and `version` are absent when it was replayed. */
export const PutAnswer = Schema.Struct({
  revision: Schema.Number,
  created: Schema.optionalKey(Schema.Boolean),
  version: Schema.optionalKey(Schema.Number),
  ...replayed
}).annotate({ identifier: "PutAnswer" })

/** What a delete did. `deleted` says whether the key existed; it is absent when the delete was replayed. */
export const DeleteAnswer = Schema.Struct({
  revision: Schema.Number,
  deleted: Schema.optionalKey(Schema.Boolean),
  ...replayed
}).annotate({ identifier: "DeleteAnswer" })

/** One page. `cursor` asks for the next one; it is absent on the last. */
export const ScanAnswer = Schema.Struct({
  entries: Schema.Array(Entry),
  cursor: Schema.optionalKey(Schema.String),
  cursorEncoding: Schema.optionalKey(Schema.Literals(["text", "base64", "hex"])),
  revision: Schema.Number
}).annotate({ identifier: "ScanAnswer" })

export const CountAnswer = Schema.Struct({ count: Schema.Number }).annotate({ identifier: "CountAnswer" })

const keyFields = { key: Schema.String, keyEncoding: Schema.optionalKey(Encoding) }
/** The lease of a put. Zero is none in the store: a caller that lost its id must not put a key that stays. */
export const LeaseId = Schema.Natural.check(Schema.isGreaterThanOrEqualTo(1))

const operators = Schema.Literals(compareOperators)

/** A condition on one key. All figures of a key that does not exist are 0, and every comparison of its value fails. */
const Condition = Schema.Union([
  Schema.Struct({ ...keyFields, exists: Schema.Boolean }),
  Schema.Struct({
    ...keyFields,
    field: Schema.Literal("value"),
    is: operators,
    to: Schema.String,
    valueEncoding: Schema.optionalKey(Encoding)
  }),
  Schema.Struct({ ...keyFields, field: Schema.Literals(compareFigures), is: operators, to: Schema.Natural })
]).annotate({ identifier: "Condition" })

export type Condition = typeof Condition.Type

const prefixFields = { prefix: Schema.String, keyEncoding: Schema.optionalKey(Encoding) }

export const Operation = Schema.Union([
  Schema.Struct({
    op: Schema.Literal("put"),
    ...keyFields,
    value: Schema.String,
    valueEncoding: Schema.optionalKey(Encoding),
    lease: Schema.optionalKey(LeaseId)
  }),
  Schema.Struct({ op: Schema.Literal("delete"), ...keyFields }),
  Schema.Struct({ op: Schema.Literal("deletePrefix"), ...prefixFields }),
  Schema.Struct({ op: Schema.Literal("get"), ...keyFields }),
  Schema.Struct({
    op: Schema.Literal("scan"),
    ...prefixFields,
    limit: Schema.optionalKey(Schema.Natural),
    reverse: Schema.optionalKey(Schema.Boolean),
    keysOnly: Schema.optionalKey(Schema.Boolean)
  })
]).annotate({ identifier: "Operation" })

export type Operation = typeof Operation.Type

/** `do` is carried out when all of `if` hold, and `else` when one does not; atomically, in one revision. */
export const TransactionRequest = Schema.Struct({
  encoding: Schema.optionalKey(Encoding),
  if: Schema.optionalKey(Schema.Array(Condition)),
  do: Schema.optionalKey(Schema.Array(Operation)),
  else: Schema.optionalKey(Schema.Array(Operation))
}).annotate({ identifier: "TransactionRequest" })

const OperationAnswer = Schema.Union([
  Schema.Struct({ op: Schema.Literal("put"), created: Schema.Boolean, version: Schema.Number }),
  Schema.Struct({ op: Schema.Literal("delete"), deleted: Schema.Boolean }),
  Schema.Struct({ op: Schema.Literal("deletePrefix"), deleted: Schema.Number }),
  Schema.Struct({ op: Schema.Literal("get"), entry: Schema.NullOr(Entry) }),
  Schema.Struct({ op: Schema.Literal("scan"), entries: Schema.Array(Entry), more: Schema.Boolean })
]).annotate({ identifier: "OperationAnswer" })

export type OperationAnswer = typeof OperationAnswer.Type

/** The results of `do` or of `else`, in their order. They are absent when the transaction was replayed. */
export const TransactionAnswer = Schema.Struct({
  succeeded: Schema.Boolean,
  revision: Schema.Number,
  results: Schema.optionalKey(Schema.Array(OperationAnswer)),
  ...replayed
}).annotate({ identifier: "TransactionAnswer" })

export const GrantRequest = Schema.Struct({ ttlMs: Schema.Natural }).annotate({ identifier: "GrantRequest" })

export const LeaseAnswer = Schema.Struct({
  id: Schema.Number,
  ttlMs: Schema.Number,
  ...replayed
}).annotate({ identifier: "LeaseAnswer" })

export const LeaseDetails = Schema.Struct({
  id: Schema.Number,
  ttlMs: Schema.Number,
  remainingMs: Schema.Number,
  keys: Schema.Array(Key)
}).annotate({ identifier: "LeaseDetails" })

export const LeaseList = Schema.Struct({
  leases: Schema.Array(Schema.Struct({
    id: Schema.Number,
    ttlMs: Schema.Number,
    remainingMs: Schema.Number,
    keys: Schema.Number,
    /** Who was granted it; empty when no name was asked for. */
    caller: Schema.String
  }))
}).annotate({ identifier: "LeaseList" })

/** How many keys were attached to the lease, and are deleted. */
export const RevokeAnswer = Schema.Struct({ deleted: Schema.Number }).annotate({ identifier: "RevokeAnswer" })

const ChangeEvent = Schema.Struct({
  type: Schema.Literals(["put", "delete"]),
  key: Schema.String,
  keyEncoding: Schema.optionalKey(Schema.Literals(["text", "base64", "hex"])),
  /** What the key holds since; absent for a delete. */
  entry: Schema.optionalKey(Entry),
  /** What was replaced, when it was asked for and history has it. */
  previous: Schema.optionalKey(Entry)
})

/** Everything that one revision did to the watched keys. */
export const ChangesData = Schema.Struct({
  revision: Schema.Number,
  /** When it happened, by the cluster's clock: milliseconds since 1970. */
  logTimeMs: Schema.Number,
  events: Schema.Array(ChangeEvent)
}).annotate({ identifier: "Changes" })
