/**
 * Every error a caller of FlareDB can see, by cause. Each says what the caller knows about the write
 * or read that failed, because that decides whether it may be retried:
 *
 * | error             | was the write appended?       | retry                                   |
 * | ----------------- | ----------------------------- | --------------------------------------- |
 * | `NotLeader`       | no                            | at the leader it names                  |
 * | `Overloaded`      | no                            | after a pause                           |
 * | `InvalidArgument` | no                            | never as it is                          |
 * | `Unavailable`     | no                            | later                                   |
 * | `Indeterminate`   | perhaps                       | only when repeating it is harmless      |
 * | `SessionExpired`  | perhaps                       | only when repeating it is harmless      |
 * | `ResultsNotKept`  | yes, and carried out          | never; read the keys again              |
 * | `LeaseNotFound`   | committed, changed nothing    | with another lease                      |
 * | `LeaseLost`       | (what the lease protected)    | from the beginning, with another lease  |
 * | `Conflict`        | committed, changed nothing    | later, or with more attempts            |
 * | `WrongCluster`    | no                            | never; another client, other endpoints  |
 * | `Unauthenticated` | no                            | with a certificate or token that holds  |
 * | `Unauthorized`    | no                            | after an administrator allows it        |
 * | `FutureRevision`  | (a watch)                     | never as it is                          |
 * | `Compacted`       | (a watch)                     | read the keys again, then watch         |
 * | `WatchCancelled`  | (a watch)                     | watch on from the next revision         |
 * | `Fatal`           | perhaps                       | at another node; this one stops         |
 */
import { Schema } from "effect"

/** This node does not lead. Nothing was appended: safe to retry at `leaderEndpoint`, or anywhere when it is absent. */
export class NotLeader extends Schema.TaggedError<NotLeader>()("NotLeader", {
  nodeId: Schema.Number,
  leaderId: Schema.optionalKey(Schema.Number),
  /** `host:port` of the leader's client port. */
  leaderEndpoint: Schema.optionalKey(Schema.String)
}) {
  override get message() {
    return this.leaderId === undefined
      ? `node ${this.nodeId} does not lead and knows no leader`
      : `node ${this.nodeId} does not lead; node ${this.leaderId} does${
        this.leaderEndpoint === undefined ? "" : ` at ${this.leaderEndpoint}`
      }`
  }
}

/** What helps against limits on what lasts, where a pause alone does not. */
const overloadAdvice: Readonly<Record<string, string>> = {
  maxSessions: "see who has them with flaredb session list, end some with flaredb session end, or write without one",
  maxConnectionSessions: "close sessions of this connection before it opens another one, or raise the limit",
  maxConnectionLeases: "revoke leases that this connection granted before it grants another one, or raise the limit",
  maxUsers: "delete users that are not needed; flaredb access user list shows them",
  maxRoles: "delete roles that are not needed; flaredb access role list shows them",
  maxUserTokens: "remove tokens that are not used; flaredb access user list shows them",
  maxLeases: "revoke leases that are not needed; flaredb lease list shows them",
  maxKeptReplyBytes: "too many answers wait for clients to acknowledge them; retry after a pause"
}

/** A limit on waiting work was reached. Nothing was appended: safe to retry after a pause. */
export class Overloaded extends Schema.TaggedError<Overloaded>()("Overloaded", {
  /** Which limit, by its name in the configuration; `maxLeases of NAME` for one of a user. */
  limit: Schema.String,
  current: Schema.Number,
  maximum: Schema.Number
}) {
  override get message() {
    return `overloaded: ${this.limit} is at ${this.current} of ${this.maximum}; ${
      overloadAdvice[this.limit.split(" ", 1)[0] as string] ?? "retry after a pause"
    }`
  }
}

/**
 * The write may yet be committed, or may never be: leadership, the node, the connection or the deadline was
 * lost before the answer came. Retry only what is harmless to repeat.
 */
export class Indeterminate extends Schema.TaggedError<Indeterminate>()("Indeterminate", {
  reason: Schema.String
}) {
  override get message() {
    return `outcome unknown: ${this.reason}. The write may or may not take effect; read the key before repeating it.`
  }
}

/** An argument is malformed or over a limit. Nothing was appended, and the same call will fail again. */
export class InvalidArgument extends Schema.TaggedError<InvalidArgument>()("InvalidArgument", {
  /** The argument's name: "key", "value", "limit", "cursor" … */
  field: Schema.String,
  /** What is wrong with it, with the value's size or text and the limit. */
  problem: Schema.String
}) {
  override get message() {
    return `invalid ${this.field}: ${this.problem}`
  }
}

/** A call came on a connection that has not said a `Hello` that was accepted. It was not carried out. */
export class NoHello extends Schema.TaggedError<NoHello>()("NoHello", {
  /** The name of the call. */
  call: Schema.String
}) {
  override get message() {
    return `${this.call} came before a Hello that was accepted; say Hello first on each connection`
  }
}

/** No node could serve the request within its deadline, and no write was appended. */
export class Unavailable extends Schema.TaggedError<Unavailable>()("Unavailable", {
  reason: Schema.String
}) {
  override get message() {
    return `unavailable: ${this.reason}`
  }
}

/**
 * The client's session ended before this write was answered: nothing was heard of the client for the session's time to
 * live. The write may or may not have taken effect, and there is no way left to find out.
 */
export class SessionExpired extends Schema.TaggedError<SessionExpired>()("SessionExpired", {
  session: Schema.Number
}) {
  override get message() {
    return `session ${this.session} expired before the answer came; the write may or may not have taken effect`
  }
}

/**
 * The transaction took effect exactly once, and this is the answer to a repetition of it. The first answer was lost on
 * its way, and it was too large for the cluster to keep: of the results only this is known. Do not repeat the
 * transaction. Read the keys to learn what they hold now.
 */
export class ResultsNotKept extends Schema.TaggedError<ResultsNotKept>()("ResultsNotKept", {
  /** The revision that the transaction took; the store's revision at that time when it changed nothing. */
  revision: Schema.Number,
  /** Whether all conditions held, so that `do` was carried out and not `else`. */
  succeeded: Schema.Boolean
}) {
  override get message() {
    return `the transaction took effect at revision ${this.revision} (${
      this.succeeded ? "the conditions held" : "a condition did not hold"
    }), but its answer was lost and its results were not kept; read the keys instead of repeating it`
  }
}

/** The lease has ended, or never was. The write changed nothing. */
export class LeaseNotFound extends Schema.TaggedError<LeaseNotFound>()("LeaseNotFound", {
  lease: Schema.Number
}) {
  override get message() {
    return `lease ${this.lease} has ended, or never was; grant a new one`
  }
}

/**
 * A lease that was held has ended, or may have: what it protected is no longer this holder's. Whatever was done on the
 * strength of it and is not yet visible must be given up.
 */
export class LeaseLost extends Schema.TaggedError<LeaseLost>()("LeaseLost", {
  lease: Schema.Number,
  /**
   * `ended`: the cluster says so. `unconfirmed`: no keep-alive was answered for the lease's time to live, by this
   * process's clock; it may live on for a while. `wrong-cluster`: the endpoints belong to another cluster now, which
   * knows nothing of the lease.
   */
  reason: Schema.Literals(["ended", "unconfirmed", "wrong-cluster"])
}) {
  override get message() {
    if (this.reason === "wrong-cluster") return `lease ${this.lease} is of another cluster than the endpoints are now`
    return this.reason === "ended"
      ? `lease ${this.lease} has ended`
      : `lease ${this.lease} may have ended: no keep-alive was answered for its time to live`
  }
}

/**
 * Others changed the key between every reading of it and the write that was to follow. It was not changed by this call.
 */
export class Conflict extends Schema.TaggedError<Conflict>()("Conflict", {
  /** The key, as UTF-8 text. */
  key: Schema.String,
  /** How often it was tried; 0 when the deadline passed before that. */
  attempts: Schema.Number
}) {
  override get message() {
    const key = `the key ${JSON.stringify(this.key)}`
    return this.attempts === 0
      ? `${key} was not changed: the deadline passed before the first attempt, while other calls of this process ` +
        "changed it or the new value was made; try again with more time"
      : `${key} was changed by others in each of ${this.attempts} attempts; try again later`
  }
}

/**
 * The endpoints belong to another cluster than the one that the client has been using: it was restored from a backup,
 * or wiped and made again, or the endpoints are wrong. Nothing was sent there. Revisions, leases, locks and sessions
 * of the one mean nothing in the other, so a client never changes over by itself: make a new one, and read everything
 * again.
 */
export class WrongCluster extends Schema.TaggedError<WrongCluster>()("WrongCluster", {
  /** `host:port` of the node that answered. */
  endpoint: Schema.String,
  /** The identity that was expected. */
  expected: Schema.String,
  /** The identity that was found; absent when that cluster is new and has none yet. */
  found: Schema.optionalKey(Schema.String),
  /** The name of the cluster that was found. */
  foundName: Schema.String
}) {
  override get message() {
    return `${this.endpoint} belongs to the cluster ${this.foundName} (identity ${
      this.found ?? "not known yet"
    }), not to the ` +
      `one with the identity ${this.expected} that is expected. What was read or held there means nothing here: make ` +
      "a new client and read everything again, or correct the endpoints"
  }
}

/**
 * The node does not know who calls: the certificate or token is missing, has ended, or is none of this cluster's.
 * Nothing was carried out.
 */
export class Unauthenticated extends Schema.TaggedError<Unauthenticated>()("Unauthenticated", {
  /** What is wrong, and what to do. */
  reason: Schema.String
}) {
  override get message() {
    return `not authenticated: ${this.reason}`
  }
}

/** The caller is known and may not do this. Nothing was carried out, and no other operation of the call is hurt. */
export class Unauthorized extends Schema.TaggedError<Unauthorized>()("Unauthorized", {
  /** The caller's name. */
  name: Schema.String,
  /** What it may not do: `read "b/"`, `write "b/"…"b0"`, `compact the history`. */
  what: Schema.String
}) {
  override get message() {
    return `${this.name} may not ${this.what}; an administrator can allow it with flaredb access`
  }
}

/**
 * A watch asks for a revision behind the next one, which no client can have seen: it is of another history, or
 * mistyped. The node heard from a majority before it said so.
 */
export class FutureRevision extends Schema.TaggedError<FutureRevision>()("FutureRevision", {
  /** The revision asked for. */
  requested: Schema.Number,
  /** The last revision there is. */
  revision: Schema.Number
}) {
  override get message() {
    return `revision ${this.requested} is not the next one: the last revision is ${this.revision}. It may be of ` +
      "another cluster; read the keys again and watch from there"
  }
}

/**
 * The history that a watch asks for is gone. Read the keys again, and watch from the revision of what was read plus
 * one: nothing is missed that way but the states in between.
 */
export class Compacted extends Schema.TaggedError<Compacted>()("Compacted", {
  /** The revision asked for. */
  requested: Schema.Number,
  /** The oldest revision that can still be watched from. */
  oldest: Schema.Number
}) {
  override get message() {
    return `revision ${this.requested} is gone from the history, which begins at ${this.oldest}; ` +
      "read the keys again and watch from there"
  }
}

/**
 * The node ended a watch that it served, because it was not asked to go on for too long, or lost it with a restart.
 * Nothing is missed: watch again from the revision after the last one received. `flaredb/client` does so by
 * itself.
 */
export class WatchCancelled extends Schema.TaggedError<WatchCancelled>()("WatchCancelled", {
  reason: Schema.String
}) {
  override get message() {
    return `the watch ended at the node: ${this.reason}; watch again from the next revision`
  }
}

/** Storage failed or data is corrupt: the node stops serving. */
export class Fatal extends Schema.TaggedError<Fatal>()("Fatal", {
  reason: Schema.String
}) {
  override get message() {
    return `fatal: ${this.reason}`
  }
}

/** How a port refuses any call of a caller that it does not know, or that may not make it. Nothing was done. */
export const AccessError = Schema.Union([Unauthenticated, Unauthorized])
export type AccessError = typeof AccessError.Type

/** The order of members is that of the wire, so each list is written where it stands in all unions. */
const atLeader = [NotLeader, Overloaded] as const
const anywhere = [Unavailable, Fatal, ...AccessError.members] as const

/** How a node refuses a read. */
export const ReadError = Schema.Union([...atLeader, InvalidArgument, ...anywhere])
export type ReadError = typeof ReadError.Type

/** How a node refuses a write: as a read, or the outcome is not known. */
export const WriteError = Schema.Union([...atLeader, Indeterminate, InvalidArgument, ...anywhere])
export type WriteError = typeof WriteError.Type

/** How a node refuses a watch, or to go on with one. */
export const WatchError = Schema.Union([
  InvalidArgument,
  Overloaded,
  Compacted,
  FutureRevision,
  WatchCancelled,
  ...anywhere
])
export type WatchError = typeof WatchError.Type
