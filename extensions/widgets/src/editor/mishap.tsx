/** What stands there when the builder itself fails: a sentence, not nothing. */
import { Component, type ReactNode } from "react";

export class Mishap extends Component<{ children: ReactNode }, { why: string | null }> {
  override state: { why: string | null } = { why: null };

  static getDerivedStateFromError(error: unknown): { why: string } {
    return { why: String(error).slice(0, 200) };
  }

  override render(): ReactNode {
    if (this.state.why === null) return this.props.children;
    return (
      <div role="alert">
        <p className="onb-problem">
          The builder cannot show this chain ({this.state.why}). What was sent is kept; %chain show NAME prints the
          YAML.
        </p>
        <button type="button" className="onb-button" onClick={() => this.setState({ why: null })}>
          Try again
        </button>
      </div>
    );
  }
}
