/**
 * When a client looks at what gathered: at the end of this go of the program. A simulation, which runs from its
 * beginning to its end in one go, has a queue of its own for that.
 */
import { Context } from "effect"

export const Microtask: Context.Reference<(task: () => void) => void> = Context.Reference<(task: () => void) => void>(
  "flaredb/client/Microtask",
  { defaultValue: () => queueMicrotask }
)
