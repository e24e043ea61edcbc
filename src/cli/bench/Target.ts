import type { IdentityFiles } from "../input/IdentityFlags.ts"

/** The cluster under measurement. */
export interface Target {
  /** For `--endpoints`. */
  readonly endpoints: string
  readonly nodes: ReadonlyArray<TargetNode>
  /** What is shown to it. */
  readonly identity: IdentityFiles
  /** What all keys of the load begin with. */
  readonly keyPrefix: string
}

export interface TargetNode {
  /** Where `/metrics` is. */
  readonly http: string
  /** Its process, when it is one of this machine that may be looked at. */
  readonly pid?: number | undefined
  /** The ports it listens on, for the bytes on the wire. */
  readonly ports: ReadonlyArray<number>
}
