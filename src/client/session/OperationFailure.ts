/** How operations fail. */
import type { ReadError, SessionExpired, WriteError, WrongCluster } from "../../FlareDbError.ts"

/** How a node may fail an operation. */
export type NodeFailure = ReadError | WriteError

/** What a caller may learn. */
export type PipelineError =
  | Exclude<WriteError, { readonly _tag: "NotLeader" | "Fatal" }>
  | SessionExpired
  | WrongCluster
