/** Examples import the package by its name; in a process of tests they get its sources, like the tests themselves. */
import { join } from "node:path"

const file = (path: string): string => join(import.meta.dirname, "../src", path)

/** The file of each entry point of the package. */
export const entryPoints: Readonly<Record<string, string>> = {
  flaredb: file("index.ts"),
  ...Object.fromEntries(
    ["actors", "client", "machine", "testing"].map((name) => [`flaredb/${name}`, file(`${name}/index.ts`)])
  )
}
