/** Clusters that tests name. */
import { identityOfBytes } from "../../src/protocol/ClusterIdentity.ts"
import { Position } from "../../src/client/Position.ts"

/** The cluster that fake nodes are of, unless they say otherwise. */
export const someCluster = identityOfBytes(new Uint8Array(16).fill(1))

/** Another one. */
export const otherCluster = identityOfBytes(new Uint8Array(16).fill(2))

/** A position in the history of {@link someCluster}. */
export const at = (revision: number): Position => new Position(someCluster, revision)
