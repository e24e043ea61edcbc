/**
 * The feature level from which on a command may be in the log (`protocol/FeatureLevel.ts`). A command that older
 * releases do not know is not proposed before every node of the cluster knows it.
 */
import type { Command } from "./Command.ts"
import { tags } from "./Command.ts"

/** Commands that came after the first release, each with its level. */
const levels: { readonly [Tag in Command["_tag"]]?: number } = {}

/** The level of the commands of the first release. */
const firstLevel = 1

const levelOfTag = new Map<number | undefined, number | undefined>(
  Object.entries(tags).map(([name, tag]) => [tag, levels[name as Command["_tag"]]])
)

/** The feature level that an encoded command needs, which was decoded before: looks at one byte. */
export const levelOf = (bytes: Uint8Array): number => levelOfTag.get(bytes[1]) ?? firstLevel
