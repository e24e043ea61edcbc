/**
 * The key-value store as plainly as it can be written: maps, no batches, no encoding. What `src/kv` does must agree
 * with it.
 */
import type { Command, CommandId } from "../../src/kv/model/Command.ts"
import type { KeyRange } from "../../src/bytes/KeyRange.ts"
import { contains } from "../../src/bytes/KeyRange.ts"
import type { Compare, Operation } from "../../src/kv/model/Transaction.ts"

interface ModelKey {
  createRevision: number
  modRevision: number
  version: number
  lease: number
  value: string
}

interface ModelSession {
  readonly ttlMs: number
  heardMs: number
  answered: number
  readonly replies: Map<number, unknown>
  readonly secret: string
  readonly openedMs: number
}

const text = (bytes: Uint8Array): string => Buffer.from(bytes).toString("latin1")
const bytes = (key: string): Uint8Array => Buffer.from(key, "latin1")

export class Model {
  /** Most sessions at a time. */
  readonly maxSessions: number
  /**
   * How many sessions gave way to new ones: in which nothing was sent, those that were idle, those that had
   * ended.
   */
  readonly evicted = { unused: 0, idle: 0, ended: 0 }
  revision = 0
  compacted = 0
  timeMs = 0
  readonly keys = new Map<string, ModelKey>()
  readonly leases = new Map<number, { readonly ttlMs: number; deadlineMs: number }>()
  readonly sessions = new Map<number, ModelSession>()
  /** What each revision did: `key=value` or `key gone`, sorted by nothing. */
  readonly history = new Map<number, ReadonlyArray<string>>()

  constructor(maxSessions = 10_000) {
    this.maxSessions = maxSessions
  }

  /** Carries out a command and says what its reply must say, as text that tests can compare. */
  apply(index: number, timestampMs: number, command: Command, commandId?: CommandId): unknown {
    this.timeMs = Math.max(this.timeMs, timestampMs)
    if (commandId === undefined) return this.carryOut(index, command)
    const session = this.sessions.get(commandId.session)
    if (session === undefined) return "session-expired"
    if (text(commandId.secret) !== session.secret) return "wrong-secret"
    if (commandId.answered > session.answered) {
      session.answered = commandId.answered
      for (const sequence of session.replies.keys()) {
        if (sequence <= commandId.answered) session.replies.delete(sequence)
      }
    }
    if (this.timeMs - session.heardMs >= 1_000) session.heardMs = this.timeMs
    if (session.replies.has(commandId.sequence)) return session.replies.get(commandId.sequence)
    if (commandId.sequence <= session.answered) return "already-answered"
    const reply = this.carryOut(index, command)
    if (command._tag === "CloseSession") this.sessions.delete(commandId.session)
    else session.replies.set(commandId.sequence, reply)
    return reply
  }

  private carryOut(index: number, command: Command): unknown {
    switch (command._tag) {
      case "Put": {
        if (command.lease !== 0 && !this.leases.has(command.lease)) return "lease-not-found"
        return this.atOnce(() => this.put(text(command.key), text(command.value), command.lease))
      }
      case "Delete":
        return this.atOnce(() => this.delete(text(command.key)))
      case "Transact": {
        const { compares, failure, success } = command.transaction
        const holds = compares.every((compare) => this.holds(compare))
        const operations = holds ? success : failure
        for (const operation of operations) {
          if (operation._tag === "Put" && operation.lease !== 0 && !this.leases.has(operation.lease)) {
            return "lease-not-found"
          }
        }
        return [holds, ...this.atOnce(() => operations.map((operation) => this.operate(operation))) as Array<unknown>]
      }
      case "GrantLease":
        this.leases.set(index, { ttlMs: command.ttlMs, deadlineMs: this.timeMs + command.ttlMs })
        return `lease ${index}`
      case "KeepAlive": {
        const lease = this.leases.get(command.lease)
        if (lease === undefined) return "lease-not-found"
        lease.deadlineMs = this.timeMs + lease.ttlMs
        return `lease ${command.lease}`
      }
      case "RevokeLease":
        return this.leases.has(command.lease) ? this.revoke(command.lease) : "lease-not-found"
      case "Compact":
        if (command.through > this.revision) return "invalid"
        for (; this.compacted < command.through; this.compacted++) this.history.delete(this.compacted + 1)
        return "done"
      case "OpenSession":
        if (this.sessions.size >= this.maxSessions && !this.evict()) return "overloaded"
        this.sessions.set(index, {
          ttlMs: command.ttlMs,
          heardMs: this.timeMs,
          answered: 0,
          replies: new Map(),
          secret: text(command.secret),
          openedMs: this.timeMs
        })
        return `session ${index}`
      case "EndSession":
        return this.sessions.delete(command.session) ? "done" : "invalid"
      case "Expire":
        for (const id of command.leases) {
          const lease = this.leases.get(id)
          if (lease !== undefined && lease.deadlineMs <= this.timeMs) this.revoke(id)
        }
        for (const id of command.sessions) {
          const session = this.sessions.get(id)
          if (session !== undefined && session.heardMs + session.ttlMs <= this.timeMs) this.sessions.delete(id)
        }
        return "done"
      default:
        return "done"
    }
  }

  /**
   * Ends the oldest session in which nothing was sent for ten seconds, or else the one that became idle first, or else
   * the oldest one in which nothing was sent. `false` when there is none of them.
   */
  private evict(): boolean {
    const isUnused = ({ answered, replies }: ModelSession) => answered === 0 && replies.size === 0
    const unused = [...this.sessions].find(([, session]) => isUnused(session))
    const endUnused = () => {
      if (unused === undefined) return false
      this.evicted.unused += 1
      return this.sessions.delete(unused[0])
    }
    if (unused !== undefined && unused[1].openedMs + 10_000 <= this.timeMs) return endUnused()
    const at = ({ heardMs, ttlMs }: ModelSession) => heardMs + Math.min(ttlMs, 60_000)
    const used = [...this.sessions].filter(([, session]) => !isUnused(session))
    const [first] = used.sort(([a, left], [b, right]) => at(left) - at(right) || a - b)
    if (first === undefined || at(first[1]) > this.timeMs) return endUnused()
    const [id, { heardMs, ttlMs }] = first
    this.evicted[heardMs + ttlMs <= this.timeMs ? "ended" : "idle"] += 1
    return this.sessions.delete(id)
  }

  /** Changes made by `work` share one revision, which is taken only when there are any. */
  private atOnce<A>(work: () => A): A {
    this.changes = []
    this.revision += 1
    const result = work()
    if (this.changes.length === 0) this.revision -= 1
    else this.history.set(this.revision, this.changes)
    return result
  }
  private changes: Array<string> = []

  private put(key: string, value: string, lease: number): unknown {
    const old = this.keys.get(key)
    const record: ModelKey = {
      createRevision: old?.createRevision ?? this.revision,
      modRevision: this.revision,
      version: (old?.version ?? 0) + 1,
      lease,
      value
    }
    this.keys.set(key, record)
    this.changes.push(`${key}=${value}`)
    return `created ${record.createRevision} version ${record.version}`
  }

  private delete(key: string): unknown {
    if (!this.keys.delete(key)) return 0
    this.changes.push(`${key} gone`)
    return 1
  }

  private revoke(lease: number): unknown {
    const doomed = [...this.keys].filter(([, record]) => record.lease === lease).map(([key]) => key).sort()
    this.atOnce(() => doomed.map((key) => this.delete(key)))
    this.leases.delete(lease)
    return doomed.length
  }

  private holds(compare: Compare): boolean {
    const record = this.keys.get(text(compare.key))
    if (compare._tag === "CompareExists") return compare.exists === (record !== undefined)
    if (compare._tag === "CompareValue" && record === undefined) return false
    const [left, right] = compare._tag === "CompareValue"
      ? [record?.value ?? "", text(compare.value)]
      : [record?.[compare.figure] ?? 0, compare.value]
    switch (compare.operator) {
      case "=":
        return left === right
      case "!=":
        return left !== right
      case "<":
        return left < right
      case "<=":
        return left <= right
      case ">":
        return left > right
      case ">=":
        return left >= right
    }
  }

  private operate(operation: Operation): unknown {
    switch (operation._tag) {
      case "Put":
        return this.put(text(operation.key), text(operation.value), operation.lease)
      case "Delete":
        return this.delete(text(operation.key))
      case "DeleteRange": {
        const doomed = this.within(operation.range).map(([key]) => key)
        for (const key of doomed) this.delete(key)
        return doomed.length
      }
      case "Get":
        return this.keys.get(text(operation.key))?.value
      case "Range": {
        const rows = this.within(operation.range)
        if (operation.reverse) rows.reverse()
        return [
          rows.length > operation.limit,
          ...rows.slice(0, operation.limit).map(([key, { value }]) => `${key}=${operation.keysOnly ? "" : value}`)
        ]
      }
    }
  }

  private within(range: KeyRange): Array<[string, ModelKey]> {
    return [...this.keys].filter(([key]) => contains(range, bytes(key))).sort(([a], [b]) => a < b ? -1 : 1)
  }
}
