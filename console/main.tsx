import { render } from "preact"
import { App } from "./App.tsx"
import { applyTheme } from "./Theme.tsx"

applyTheme()
const root = document.getElementById("app")
if (root !== null) render(<App />, root)
