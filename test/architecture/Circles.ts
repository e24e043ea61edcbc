/** Circles of imports, types included: files that can only be read together. */
import { join } from "node:path/posix"
import type { SourceFile } from "./Imports.ts"
import { importsOf } from "./Imports.ts"

/** Strongly connected components of more than one file (Tarjan, 1972), each in the order of its paths. */
export const circles = (files: ReadonlyArray<SourceFile>): ReadonlyArray<ReadonlyArray<string>> => {
  const targets = new Map(files.map(({ path, text }) => [
    path,
    importsOf(text).filter((name) => name.startsWith(".")).map((name) => join(path, "..", name))
  ]))
  const found: Array<ReadonlyArray<string>> = []
  const numbers = new Map<string, number>()
  const lowest = new Map<string, number>()
  const stack: Array<string> = []
  const visit = (file: string): number => {
    const number = numbers.size
    numbers.set(file, number)
    lowest.set(file, number)
    stack.push(file)
    for (const target of targets.get(file) ?? []) {
      if (!targets.has(target)) continue
      const reached = numbers.has(target) ? stack.includes(target) ? numbers.get(target) : undefined : visit(target)
      if (reached !== undefined) lowest.set(file, Math.min(lowest.get(file) ?? number, reached))
    }
    const low = lowest.get(file) ?? number
    if (low === number) {
      const component = stack.splice(stack.indexOf(file))
      if (component.length > 1) found.push(component.sort())
    }
    return low
  }
  for (const file of targets.keys()) if (!numbers.has(file)) visit(file)
  return found
}
