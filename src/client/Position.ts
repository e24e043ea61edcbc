/**
 * How far a watch has come: a revision, and the cluster whose history it belongs to. A program that stores it goes on
 * behind it after a restart, and learns when the cluster is not the same one any more.
 */
import { Effect, Result } from "effect"
import type { ClusterIdentity } from "../protocol/ClusterIdentity.ts"
import { parseIdentity } from "../protocol/ClusterIdentity.ts"
import { InvalidArgument } from "../FlareDbError.ts"

/**
 * How far a watch has come: a revision, and the cluster whose history it belongs to. A program that stores it goes
 * on behind it after a restart.
 */
export class Position {
  /** The identity of the cluster. */
  readonly cluster: ClusterIdentity
  /** Everything up to and including this revision was received; 0 for nothing. */
  readonly revision: number

  constructor(cluster: ClusterIdentity, revision: number) {
    this.cluster = cluster
    this.revision = revision
  }

  /** `IDENTITY@REVISION`, for files, rows and command lines. */
  encode(): string {
    return `${this.cluster}@${this.revision}`
  }

  toString(): string {
    return this.encode()
  }

  /** The position in a text that {@link encode} made. */
  static readonly decode = (text: string): Effect.Effect<Position, InvalidArgument> => {
    const at = text.indexOf("@")
    const cluster = parseIdentity(at < 0 ? text : text.slice(0, at))
    const digits = at < 0 ? "" : text.slice(at + 1)
    const revision = /^\d{1,16}$/.test(digits) ? Number(digits) : Number.NaN
    return Result.isFailure(cluster) || !Number.isSafeInteger(revision)
      ? Effect.fail(
        new InvalidArgument({
          field: "position",
          problem: `${JSON.stringify(text.slice(0, 80))} is not of the form IDENTITY@REVISION`
        })
      )
      : Effect.succeed(new Position(cluster.success, revision))
  }
}
