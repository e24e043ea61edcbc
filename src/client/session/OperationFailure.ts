/** How operations fail. */
import { Unauthenticated, Unauthorized } from "../../FlareDbError.ts"
import type { AccessError, ReadError, SessionExpired, WriteError, WrongCluster } from "../../FlareDbError.ts"

/** How a node may fail an operation. */
export type NodeFailure = ReadError | WriteError

/** What a caller may learn. */
export type PipelineError =
  | Exclude<WriteError, { readonly _tag: "NotLeader" | "Fatal" }>
  | SessionExpired
  | WrongCluster

/** Whether the node is asked again after a short pause, and no other is asked for it. */
export const isShort = ({ _tag }: NodeFailure): boolean => _tag === "Overloaded" || _tag === "Unauthenticated"

/** Whether a node refused the caller, and not the operation. */
export const isAccessError = (error: unknown): error is AccessError =>
  error instanceof Unauthenticated || error instanceof Unauthorized
