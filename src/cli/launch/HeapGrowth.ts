/**
 * How far the heap of a node grows before V8 looks through all of it. Left to itself V8 does so after each 8 MiB of
 * objects that lived for some time, every three seconds with one client: it judges by how fast it collects, and not by
 * how long callers wait meanwhile. No variable of the environment sets it, so a node does when it begins.
 * (`MemoryController` in V8's sources)
 */
import { setFlagsFromString } from "node:v8"

/** Percent of what was alive at the last look. The docs on performance have what it costs in memory. */
const growthPercent = 100

export const setHeapGrowth = (): void => setFlagsFromString(`--heap-growing-percent=${growthPercent}`)
