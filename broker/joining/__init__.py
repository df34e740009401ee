"""Who is who: entities and their sources, identity, links, collisions, copies."""
