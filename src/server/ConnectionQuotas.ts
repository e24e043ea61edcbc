/**
 * What one connection may have of the tables that all clients share: sessions that it opened and leases that it
 * granted, and that are still alive. The tables are in the replicated state; this count is not, and ends with the
 * connection.
 *
 * Each grant looks at two earlier ones of its connection and forgets those that have ended, so what is remembered is
 * about what is alive. All are looked at when the quota seems used up and something has ended since the last time: at
 * most once for each call.
 */
import { Context, Effect, Layer } from "effect"
import type { Limits } from "../config/Limits.ts"
import { Overloaded } from "../FlareDbError.ts"
import { grantOf } from "../kv/model/Command.ts"
import { grantedId } from "../kv/model/ReplyCodec.ts"
import type { GrantKind } from "../kv/Grants.ts"
import { Grants } from "../kv/Grants.ts"

/** Earlier grants that a new one looks at: more than one, so that the ones that have ended do not gather. */
const looksPerGrant = 2

type Write<Failure> = (
  commands: ReadonlyArray<Uint8Array>
) => Effect.Effect<ReadonlyArray<Uint8Array | Failure>>

/** The grants of one connection. */
export class ConnectionQuota {
  private readonly grants: Grants["Service"]
  private readonly maximum: Readonly<Record<GrantKind, number>>
  private readonly ids: Readonly<Record<GrantKind, Set<number>>> = { session: new Set(), lease: new Set() }
  /** Grants that are under way. */
  private readonly pending: Record<GrantKind, number> = { session: 0, lease: 0 }
  /** What `Grants.ended` said when all were looked at. */
  private readonly lookedAt: Record<GrantKind, number> = { session: -1, lease: -1 }

  constructor(grants: Grants["Service"], maximum: Readonly<Record<GrantKind, number>>) {
    this.grants = grants
    this.maximum = maximum
  }

  /** Whether any of the commands grants something. Nearly no call does. */
  counts(commands: ReadonlyArray<Uint8Array>): boolean {
    return commands.some((command) => grantOf(command) !== undefined)
  }

  /** Has commands carried out; those that would grant more than the quota are answered `Overloaded` instead. */
  write<Failure>(
    commands: ReadonlyArray<Uint8Array>,
    write: Write<Failure>
  ): Effect.Effect<ReadonlyArray<Uint8Array | Failure | Overloaded>> {
    if (!this.counts(commands)) return write(commands)
    return Effect.suspend(() => {
      const refused = new Map<number, Overloaded>()
      const granting = new Map<number, GrantKind>()
      for (let index = 0; index < commands.length; index++) {
        const kind = grantOf(commands[index] as Uint8Array)
        if (kind === undefined) continue
        const refusal = this.take(kind)
        if (refusal === undefined) granting.set(index, kind)
        else refused.set(index, refusal)
      }
      const allowed = commands.filter((_, index) => !refused.has(index))
      const carriedOut: Effect.Effect<ReadonlyArray<Uint8Array | Failure>> = allowed.length === 0
        ? Effect.succeed([])
        : write(allowed)
      return Effect.ensuring(
        Effect.map(carriedOut, (results) => {
          let next = 0
          return commands.map((_, index): Uint8Array | Failure | Overloaded => {
            const refusal = refused.get(index)
            if (refusal !== undefined) return refusal
            const result = results[next++] as Uint8Array | Failure
            const kind = granting.get(index)
            const id = kind !== undefined && result instanceof Uint8Array ? grantedId(result) : undefined
            if (kind !== undefined && id !== undefined) this.ids[kind].add(id)
            return result
          })
        }),
        Effect.sync(() => {
          for (const kind of granting.values()) this.pending[kind] -= 1
        })
      )
    })
  }

  private take(kind: GrantKind): Overloaded | undefined {
    const maximum = this.maximum[kind]
    const used = () => this.ids[kind].size + this.pending[kind]
    this.forgetEnded(kind, looksPerGrant)
    if (used() >= maximum) {
      const ended = this.grants.ended(kind)
      if (ended !== this.lookedAt[kind]) this.forgetEnded(kind, maximum)
      this.lookedAt[kind] = ended
    }
    const current = used()
    if (current >= maximum) {
      const limit = kind === "session" ? "maxConnectionSessions" : "maxConnectionLeases"
      return new Overloaded({ limit, current, maximum })
    }
    this.pending[kind] += 1
    return undefined
  }

  /** Looks at those that were not looked at for longest. */
  private forgetEnded(kind: GrantKind, most: number): void {
    const ids = this.ids[kind]
    let looks = Math.min(most, ids.size)
    for (const id of ids) {
      if (looks-- <= 0) return
      ids.delete(id)
      if (this.grants.isAlive(kind, id)) ids.add(id)
    }
  }
}

/** Gives the quota of a connection that has just begun; `undefined` where nothing is granted. */
export type ConnectionQuotas = () => ConnectionQuota | undefined

/** By default there are none: a state machine of one's own has commands that this node cannot read. */
export const ConnectionQuotas: Context.Reference<ConnectionQuotas> = Context.Reference<ConnectionQuotas>(
  "flaredb/server/ConnectionQuotas",
  { defaultValue: () => () => undefined }
)

export const layer = (
  { maxConnectionLeases, maxConnectionSessions }: Pick<Limits, "maxConnectionLeases" | "maxConnectionSessions">
): Layer.Layer<never, never, Grants> =>
  Layer.effect(
    ConnectionQuotas,
    Effect.map(
      Grants,
      (grants): ConnectionQuotas => () =>
        new ConnectionQuota(grants, { session: maxConnectionSessions, lease: maxConnectionLeases })
    )
  )
