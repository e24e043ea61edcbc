/**
 * Why a connection is refused for what TLS shows: at the side that refuses, and at the other one. Both read the same
 * sentence, which says whose certificate, what is wrong with it and what to do.
 */
import { Data } from "effect"

export type TlsRefusalReason =
  /** A certificate is demanded, and none was shown. */
  | "no-certificate"
  /** No authority that is accepted here has issued it. */
  | "unknown-authority"
  | "expired"
  | "not-yet-valid"
  /** It says nothing, or not clearly, about whose it is. */
  | "no-name"
  /** A client's where only a node may be, or the reverse. */
  | "wrong-kind"
  /** A node of the cluster, and another one than was dialled or than the other side says it is. */
  | "wrong-node"
  | "wrong-cluster"
  /** It is not valid for the host that was dialled. */
  | "wrong-host"
  /** Anything else that makes it unusable. */
  | "invalid"
  /** The other side speaks another protocol over TLS, or names none. */
  | "wrong-protocol"
  /** The other side speaks no version of TLS that is accepted here. */
  | "tls-version"
  /** One side speaks TLS and the other does not. */
  | "plain"
  /** The handshake failed otherwise. */
  | "handshake"

const reasons: ReadonlySet<string> = new Set<TlsRefusalReason>([
  "no-certificate",
  "unknown-authority",
  "expired",
  "not-yet-valid",
  "no-name",
  "wrong-kind",
  "wrong-node",
  "wrong-cluster",
  "wrong-host",
  "invalid",
  "wrong-protocol",
  "tls-version",
  "plain",
  "handshake"
])

/** A connection that TLS did not let come about. Nothing was sent on it, and trying again as it is helps nothing. */
export class TlsRefusal extends Data.TaggedError("TlsRefusal")<{
  readonly reason: TlsRefusalReason
  /** Whose certificate, what is wrong and what to do, in words. */
  readonly problem: string
  /** Which side refuses: this one, or the other. */
  readonly by: "this side" | "the other side"
}> {
  override get message() {
    return this.by === "the other side" ? `refused by the other side: ${this.problem}` : this.problem
  }
}

/** What this side refuses, in words. */
export const refusal = (reason: TlsRefusalReason, problem: string): TlsRefusal =>
  new TlsRefusal({ reason, problem, by: "this side" })

/** What a name begins with that says that a defect is a refusal; the reason stands behind it. */
const wireName = "flaredb/TlsRefusal:"

/** A refusal as the defect that it travels as: clients of any version end their calls with its message. */
export const refusalDefect = ({ problem, reason }: TlsRefusal): Error => {
  const defect = new Error(problem)
  defect.name = `${wireName}${reason}`
  return defect
}

/** The refusal in a defect that came from the other side; `undefined` when it is another defect. */
export const refusalOfDefect = (defect: unknown): TlsRefusal | undefined => {
  if (!(defect instanceof Error) || !defect.name.startsWith(wireName)) return undefined
  const reason = defect.name.slice(wireName.length)
  return new TlsRefusal({
    reason: reasons.has(reason) ? reason as TlsRefusalReason : "invalid",
    problem: defect.message.slice(0, 500),
    by: "the other side"
  })
}

/** The refusal among an error and what caused it. */
export const refusalIn = (error: unknown): TlsRefusal | undefined => {
  let current: unknown = error
  for (let depth = 0; depth < 6 && current instanceof Error; depth++) {
    if (current instanceof TlsRefusal) return current
    current = "reason" in current && current.reason instanceof Error ? current.reason : current.cause
  }
  return undefined
}
