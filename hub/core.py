"""Hold what every part of the hub is built from."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from protocol.identifiers import HubId, Issuer, SiteId
from protocol.instants import Clock

if TYPE_CHECKING:
    from hub.alarms import Alarms
    from hub.config import HubSettings
    from hub.events import Events
    from hub.sequencer import Sequencer
    from hub.witnesses import Witnesses
    from storage.database import Database


@dataclass(frozen=True, slots=True)
class Core:
    """Settings, clock, database, the one writer of the port log, the two ways to tell people, and the log's witnesses."""

    settings: "HubSettings"
    clock: Clock
    database: "Database"
    sequencer: "Sequencer"
    alarms: "Alarms"
    events: "Events"
    witnesses: "Witnesses | None" = None

    @property
    def site(self) -> SiteId:
        """Give the site."""
        return self.settings.port.site

    @property
    def hub_id(self) -> HubId:
        """Give the hub's id."""
        return self.settings.port.id

    @property
    def issuer(self) -> Issuer:
        """Give the hub as issuer of records."""
        return Issuer.of_hub(self.settings.port.id)
