/** A map that is copied at its first change. */
export class CopyOnWrite<K, V> {
  #map: ReadonlyMap<K, V>;
  #own: Map<K, V> | null = null;

  constructor(map: ReadonlyMap<K, V>) {
    this.#map = map;
  }

  get current(): ReadonlyMap<K, V> {
    return this.#map;
  }

  /** For an image, which does not change: the next change copies again. */
  handOut(): ReadonlyMap<K, V> {
    this.#own = null;
    return this.#map;
  }

  set(key: K, value: V): void {
    this.#writable().set(key, value);
  }

  delete(key: K): void {
    if (this.#map.has(key)) this.#writable().delete(key);
  }

  #writable(): Map<K, V> {
    if (this.#own === null) {
      this.#own = new Map(this.#map);
      this.#map = this.#own;
    }
    return this.#own;
  }
}
