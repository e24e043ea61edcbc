/** How far the terms that peers claim may move a node; `Claims.ts` says what for. */
import type { NodeId } from "./Types.ts"

/** The most terms by which messages can move a node that has just started. */
export const maxTermJump = 2 ** 20

/** What a node keeps about its peers' claims. At most one record for each peer. */
export interface Claims {
  /** How many terms messages may still move this node by. */
  allowance: number
  /** Terms beyond the allowance that peers said they are in, and the ticks since. */
  readonly far: Map<NodeId, { readonly term: number; elapsed: number }>
}

export const noClaims = (): Claims => ({ allowance: maxTermJump, far: new Map() })
