/** What a node says of itself in each `Hello`: its release, what it speaks, and which feature levels it knows. */
import type { FeatureLevel } from "../../protocol/FeatureLevel.ts"
import { baselineLevel } from "../../protocol/FeatureLevel.ts"
import { peerProtocols } from "../../protocol/PeerRpcs.ts"
import type { ProtocolRange } from "../../protocol/ProtocolRange.ts"
import { version } from "../../Version.ts"

/** The part of a `Hello` that later releases added. */
export interface BuildHello {
  readonly protocolVersion: number
  readonly newest?: number
  readonly release?: string
  readonly level?: number
  readonly required?: FeatureLevel
}

export class OwnBuild {
  readonly protocols: ProtocolRange
  readonly release: string
  /** The highest level that this node knows. */
  readonly known: FeatureLevel
  /** The level of the cluster, below which no node is let in; `undefined` while that is the lowest. */
  required: FeatureLevel | undefined

  constructor(known: FeatureLevel, protocols: ProtocolRange = peerProtocols, release: string = version) {
    this.known = known
    this.protocols = protocols
    this.release = release
  }

  require(level: FeatureLevel): void {
    this.required = level.level > baselineLevel ? level : undefined
  }

  /** What a `Hello` says. */
  get wire(): BuildHello & Required<Pick<BuildHello, "level" | "newest" | "release">> {
    const { known, protocols, release, required } = this
    return {
      protocolVersion: protocols.oldest,
      newest: protocols.newest,
      release,
      level: known.level,
      ...required === undefined ? {} : { required: { level: required.level, release: required.release } }
    }
  }
}
