/** The product's version, as agents and the controller tell it to each other. */
export const productVersion = '0.1.0';
