//! vibepit
